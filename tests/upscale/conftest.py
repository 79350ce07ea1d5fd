"""Fixtures of the tests of videos."""

import jax
import pytest

from sesr_jax.models import network
from sesr_jax.upscale import Upscaler, from_network, video


@pytest.fixture(scope="module")
def small() -> Upscaler:
    """A small network of luma with fresh weights."""
    return from_network(
        network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)
    )


@pytest.fixture
def lossless(monkeypatch):
    """Makes .mkv files of FFV1."""
    monkeypatch.setitem(video.VIDEO_FORMATS, ".mkv", "ffv1")
