"""A Ray cluster of two nodes finds what one process finds, whoever is killed on the way."""

import contextlib
import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest
from small_search import make_config, read_search, write_images

from sesr_jax.errors import InputError
from sesr_jax.search import search

_NODES = pathlib.Path(__file__).with_name("ray_nodes.py")
_SESR = "import sys; from sesr_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"
_CONFIG = """
import json

from sesr_jax.search import base_search
from sesr_jax.train.config import fill_in


def get_config():
    return fill_in(base_search(), json.loads({content!r}))
"""
_SECONDS = 300

# Ray reads it when it is imported: all that it does stays at 127.0.0.1, on Linux too.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='Ray comes with the extra "ray"'
)


@pytest.fixture
def config(tmp_path):
    return make_config(write_images(tmp_path / "images"), halvings=1, inherit=True)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """The folder in which workers of the cluster train."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def cluster(scratch):
    """The address of two nodes, which leave other clusters of this machine alone."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as short:  # names of sockets are
        settings = {
            "RAY_TMPDIR": short,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "TMPDIR": str(scratch),
        }
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        command, environment = [sys.executable, str(_NODES)], os.environ | settings
        with subprocess.Popen(command, env=environment, text=True, **pipes) as nodes:
            yield nodes.stdout.readline().strip()
            nodes.communicate()


@pytest.fixture
def start():
    """Starts a search in a process, which ends with the test."""
    with contextlib.ExitStack() as stack:

        def start_search(config, folder, *options):
            file = folder.with_suffix(".py")
            file.write_text(_CONFIG.format(content=config.to_json()))
            arguments = ["--config", str(file), "--workdir", str(folder), "--quiet", *options]
            command = [sys.executable, "-c", _SESR, "search", *arguments]
            pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            process = stack.enter_context(subprocess.Popen(command, text=True, **pipes))
            stack.callback(process.kill)
            return process

        yield start_search


def _wait_for(find, process):
    """Returns what `find` finds, while the process runs."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := find():
            return found
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1] if process.poll() is not None else "too slow")


def _find_trainers(scratch):
    """Returns the workers that train, each with the folder that it has locked."""
    found = {}
    for link in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            place = pathlib.Path(os.readlink(link))
            if place.name == "folder" and place.is_relative_to(scratch):
                found[int(link.parts[2])] = place
    return found


def _get_node(process):
    """Returns what tells the node of a worker; None where the worker has ended."""
    with contextlib.suppress(OSError):
        variables = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        return next(text for text in variables if text.startswith(b"RAY_RAYLET_PID="))


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_cluster_finds_what_one_process_finds_whoever_is_killed(
    config, cluster, scratch, start, tmp_path
):
    folder = tmp_path / "far"
    on_ray = start(config, folder, f"--config.search.ray={cluster}")
    alone = start(config, tmp_path / "near")
    nodes = set()

    def find_trainer_in_the_middle():
        trainers = _find_trainers(scratch)
        nodes.update(filter(None, map(_get_node, trainers)))
        return [
            process for process, place in trainers.items() if (place / "checkpoints" / "2").exists()
        ]

    os.kill(_wait_for(find_trainer_in_the_middle, on_ray)[0], signal.SIGKILL)
    _wait_for(lambda: list(folder.glob("candidates/*/rungs.json")), on_ray)
    on_ray.kill()
    on_ray.communicate()
    on_ray = start(config, folder, f"--config.search.ray={cluster}")
    _wait_for(lambda: find_trainer_in_the_middle() and len(nodes) == 2, on_ray)
    assert on_ray.communicate(timeout=_SECONDS)[1] == ""
    alone.communicate(timeout=_SECONDS)
    assert on_ray.returncode == alone.returncode == 0
    assert read_search(folder) == read_search(tmp_path / "near")
    for kind in ("expanded.safetensors", "log.jsonl"):
        for path in (tmp_path / "near" / "candidates").glob(f"*/{kind}"):
            assert path.read_bytes() == (folder / path.relative_to(tmp_path / "near")).read_bytes()
    assert not list(folder.glob("candidates/*/checkpoints/*"))


@needs_ray
def test_a_node_without_the_images_is_named(config, cluster, start, tmp_path):
    config.data.train = "nowhere"
    process = start(config, tmp_path / "search", f"--config.search.ray={cluster}")
    error = process.communicate(timeout=_SECONDS)[1]
    assert process.returncode == 2
    assert len(error.splitlines()) == 1
    assert "127.0.0.1" in error
    assert "nowhere" in error


@needs_ray
def test_an_address_without_a_cluster_is_refused(config, tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        config.search.ray = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=config.search.ray):
            search(config, tmp_path / "search", progress=False)
    assert not list(tmp_path.glob("search/candidates"))
    assert signal.getsignal(signal.SIGTERM) == handler


def test_the_extra_is_named_where_ray_is_not_installed(config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    config.search.ray = "auto"
    with pytest.raises(InputError, match=r"sesr_jax\[ray\]"):
        search(config, tmp_path / "search", progress=False)
