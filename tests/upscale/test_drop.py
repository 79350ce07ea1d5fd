"""What a file costs in quality, as an export asks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.data import ImagePair, embedded
from sesr_jax.errors import InputError
from sesr_jax.export import export_network
from sesr_jax.metrics import Y, drop, evaluate, mean
from sesr_jax.models import network
from sesr_jax.quant import RANGES
from sesr_jax.upscale import check_drop, from_network, from_tflite, in_domain, quality_drop


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("drop") / "m3.tflite"
    made = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)
    pictures = [
        ImagePair(name=p.name, hr=p.hr[:96, :128]) for p in (embedded("eval")[i] for i in (0, 1))
    ]
    export_network(made, path, size=(48, 64), calibration=pictures)
    return made, path, pictures


def test_the_drop_is_float_less_file(exported):
    made, path, pictures = exported
    float32, file = (
        mean(evaluate(in_domain(upscaler, "y"), pictures, 2, Y))["psnr"]
        for upscaler in (from_network(made), from_tflite(path))
    )
    lost = quality_drop(made, path, pictures)
    assert lost == pytest.approx(float32 - file)
    assert check_drop(made, path, pictures, lost + 1e-6) == lost
    with pytest.raises(InputError, match=r"loses .* dB of PSNR on 2 images, more than .* dB; "):
        check_drop(made, path, pictures, lost - 1e-6)


def test_exact_copies_lose_nothing():
    """A flat picture may come out exactly, at an infinite PSNR, from both."""
    assert drop(np.inf, np.inf) == 0
    assert drop(np.inf, 40.0) == np.inf
    assert drop(40.0, 38.5) == 1.5


def test_a_quantised_network_is_measured_in_float(exported):
    made, path, pictures = exported
    coarse = {node.name: jnp.asarray([0.0, 1e-3]) for node in made.graph((1, 8, 8, 1)).nodes}
    quantised = dataclasses.replace(made, variables={**made.variables, RANGES: coarse})
    assert quality_drop(quantised, path, pictures) == quality_drop(made, path, pictures)
