"""What a file costs in quality, as an export asks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.data import ImagePair, open_embedded
from sesr_jax.errors import InputError
from sesr_jax.export import export_network
from sesr_jax.metrics import Y, drop, evaluate, mean
from sesr_jax.models import network
from sesr_jax.quant import RANGES
from sesr_jax.upscale import check_drop, from_network, from_tflite, in_domain, measure_drop


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("drop") / "m3.tflite"
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)
    images = [
        ImagePair(name=p.name, hr=p.hr[:96, :128])
        for p in (open_embedded("eval")[i] for i in (0, 1))
    ]
    export_network(net, path, size=(48, 64), calibration=images)
    return net, path, images


def test_the_drop_is_float_less_file(exported):
    net, path, images = exported
    float32, file = (
        mean(evaluate(in_domain(upscaler, "y"), images, 2, Y))["psnr"]
        for upscaler in (from_network(net), from_tflite(path))
    )
    lost = measure_drop(net, path, images)
    assert lost == pytest.approx(float32 - file)
    assert check_drop(net, path, images, lost + 1e-6) == lost
    with pytest.raises(InputError, match=rf"{lost:.3f} dB of PSNR on 2 images"):
        check_drop(net, path, images, lost - 1e-6)


def test_exact_copies_lose_nothing():
    """A flat image may come out exactly, at an infinite PSNR, from both."""
    assert drop(np.inf, np.inf) == 0
    assert drop(np.inf, 40.0) == np.inf
    assert drop(40.0, 38.5) == 1.5


def test_a_quantised_network_is_measured_in_float(exported):
    net, path, images = exported
    coarse = {node.name: jnp.asarray([0.0, 1e-3]) for node in net.trace((1, 8, 8, 1)).nodes}
    quantised = dataclasses.replace(net, variables={**net.variables, RANGES: coarse})
    assert measure_drop(quantised, path, images) == measure_drop(net, path, images)
