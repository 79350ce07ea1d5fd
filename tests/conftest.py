"""Fixtures that every part of the tests shares."""

import os
import pathlib
import tempfile
from collections.abc import Iterator

import jax
import pytest

_SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"

# Both take a third off the time of compiling. A process ends at a flag that its version does not know.
_FLAGS = ["--xla_cpu_parallel_codegen_split_count=1"]
if jax.__version_info__ < (0, 11):
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_FLAGS])

# Parts whose tests run much and compile little, as users' programs are compiled. All others do without the
# compiler's optimisations, which take longer than they save there.
_RUN_MUCH = {"metrics", "pretrained", "test_demo", "upscale"}


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
    """Compiles as the part of the tests wants it, its fixtures and processes too."""
    plain = not {item.path.parent.name, item.path.stem} & _RUN_MUCH
    jax.config.update("jax_disable_most_optimizations", plain)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(plain)


@pytest.fixture(scope="module", autouse=True)
def _forget_programs() -> Iterator[None]:
    """Frees the programs of a file behind its tests: the folder keeps them, and they take gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of benchmark images and vendors' tables beside the checkout, which few machines have."""
    if not _SHARED.is_dir():
        pytest.skip("needs the benchmark images and vendors' tables beside the checkout")
    return _SHARED
