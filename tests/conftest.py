"""Fixtures that every part of the tests shares."""

import os
import pathlib
import tempfile

import jax
import pytest

_SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"

# Parts whose tests compile much and run little: they do without the compiler's optimisations.
_BARELY_RUN = {"cli", "test_docs", "graph", "models", "reparam", "recipes", "train"}


def pytest_configure(config: pytest.Config) -> None:
    """Keeps compiled programs in a folder, since many tests and their processes compile the same ones.

    Each worker has a folder of its own: jax does not lock it.
    """
    folder = tempfile.TemporaryDirectory(prefix="compiled-programs-")
    config.add_cleanup(folder.cleanup)
    for name, value in {
        "jax_compilation_cache_dir": folder.name,
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Compiles as the part of the tests wants it, its fixtures too."""
    part = {item.path.parent.name, item.path.stem}
    jax.config.update("jax_disable_most_optimizations", bool(part & _BARELY_RUN))


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of benchmark images and vendors' tables beside the checkout, which few machines have."""
    if not _SHARED.is_dir():
        pytest.skip("needs the benchmark images and vendors' tables beside the checkout")
    return _SHARED
