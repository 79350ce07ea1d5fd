"""What tests of the verbs share: a network, a photo, and how a refusal is read."""

import pathlib
from collections.abc import Callable

import jax
import pytest

from sesr_jax.cli.main import main
from sesr_jax.data import open_embedded, write_image
from sesr_jax.models import network


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> pathlib.Path:
    """A small network with fresh weights."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    network.save(network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), expansion=4), path)
    return path


@pytest.fixture(scope="session")
def photo(tmp_path_factory) -> pathlib.Path:
    """A crop of a real photo."""
    path = tmp_path_factory.mktemp("photo") / "chelsea.png"
    write_image(path, open_embedded("eval")[1].hr[60:160, 100:240])
    return path


@pytest.fixture
def refused(capsys) -> Callable[..., str]:
    """Runs the command, which must refuse, and returns its one sentence."""

    def run(*argv: object) -> str:
        assert main([str(arg) for arg in argv]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1, captured.err
        return captured.err

    return run
