"""A small network with two blocks, and images that it is measured on."""

import jax
import numpy as np
import pytest

from sesr_jax.models import network

_SIDE = 12


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(2, _SIDE, _SIDE, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def graph():
    options = {"blocks": 2, "features": 4, "expansion": 8}
    net = network.init("sesr_m3", scale=2, key=jax.random.key(1), **options)
    return net.collapse().trace((1, _SIDE, _SIDE, 1))
