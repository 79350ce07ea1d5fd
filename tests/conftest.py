"""Fixtures that every part of the tests shares."""

import functools
import gc
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import pytest
from jax._src import compiler
from jax._src.interpreters import mlir

_SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"

# Parts whose tests run much and compile little, as users' programs are compiled. All others do without the
# compiler's optimisations, which take longer than they save there, and without two of XLA's own choices, by
# which it compiles a third slower.
_RUN_MUCH = {"metrics", "pretrained", "test_demo", "upscale"}


def pytest_configure(config: pytest.Config) -> None:
    """Keeps compiled programs in a folder, since many tests and their processes compile the same ones.

    Each worker has a folder of its own: jax does not lock it.
    """
    folder = tempfile.TemporaryDirectory(prefix="compiled-programs-")
    config.add_cleanup(folder.cleanup)
    # So do processes keep their byte code, of which many machines have none.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name, value in {
        "jax_compilation_cache_dir": folder.name,
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


_QUICK = {"xla_cpu_parallel_codegen_split_count": 1}
if jax.__version_info__ < (0, 11):  # later versions do not know it
    _QUICK["xla_cpu_use_fusion_emitters"] = False


@functools.wraps(compiler.get_compile_options)
def _get_compile_options(*args: Any, **settings: Any) -> Any:
    if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "True":
        settings["env_options_overrides"] = _QUICK | (settings.get("env_options_overrides") or {})
    return _get_usual_options(*args, **settings)


# jax loads all of MLIR's dialects anew for each program, which takes as long as to compile a small one.
mlir.make_ir_context = functools.cache(mlir.make_ir_context)

# jax has options of XLA for a process or for a function, and none for a while.
_get_usual_options, compiler.get_compile_options = (
    compiler.get_compile_options,
    _get_compile_options,
)


def pytest_collection_finish() -> None:
    """Collects garbage less often: each collection walks all that TensorFlow and jax have loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


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
    mlir.make_ir_context.cache_clear()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of benchmark images and vendors' tables beside the checkout, which few machines have."""
    if not _SHARED.is_dir():
        pytest.skip("needs the benchmark images and vendors' tables beside the checkout")
    return _SHARED
