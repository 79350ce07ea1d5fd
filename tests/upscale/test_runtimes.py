"""Networks that LiteRT runs give XLA's pixels, and only those are run by it that it runs faster."""

import dataclasses
import sys

import jax
import numpy as np
import pytest

from sesr_jax.cli.main import main
from sesr_jax.data import read_image, write_image
from sesr_jax.errors import InputError
from sesr_jax.models import create, network
from sesr_jax.upscale import (
    choose_upscaler,
    from_network,
    load_upscaler,
    upscale_image,
    upscale_photo,
)
from tests.small_networks import SIDE, randomise, small_options

pytest.importorskip("litert_converter")


def make_network(name, scale):
    module = create(name, scale=scale, **small_options(name))
    image = np.zeros((1, SIDE, SIDE, module.channels), np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), image)
    variables = jax.tree.map(lambda x: 0.2 * x, randomise(shapes))
    options = small_options(name)
    return network.Network(name=name, scale=scale, variables=variables, options=options).collapse()


# Between them they have every operation of the zoo.
@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("imdn", 2),
        ("maffsrn", 2),
        ("fsrcnn", 2),
        ("tinysrnet", 3),
        ("btsrn", 2),
        ("latticenet", 2),
        ("esrn", 2),
    ],
)
def test_pixels_are_those_of_xla_for_every_operation(name, scale):
    net = make_network(name, scale)
    x = np.random.default_rng(0).uniform(size=(1, SIDE, SIDE, net.channels)).astype(np.float32)
    found, want = choose_upscaler(net, "litert").function(x), jax.jit(net.apply)(x)
    assert np.abs(found - want).max() < 1e-4 * max(1, np.abs(want).max())  # a code is 4e-3


@pytest.fixture(scope="module")
def small():
    return make_network("sesr_m3", 2)


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3)).astype(np.uint8)


def test_a_photo_is_the_same_within_a_code(photo, small):
    on_litert = choose_upscaler(small)
    assert on_litert.concurrent is not None  # it is LiteRT by default
    want = upscale_photo(from_network(small), photo, tile=None).astype(int)
    for tile in (None, 32, (40, 24)):
        found = upscale_photo(on_litert, photo, tile=tile)
        assert np.abs(found - want).max() <= 1


def test_more_sizes_than_models_are_kept(small):
    upscaler = choose_upscaler(small, "litert")
    x = np.random.default_rng(0).uniform(size=(1, 8, 9, 1)).astype(np.float32)
    first = upscaler.function(x)
    for width in (5, 6, 7, 8):
        assert upscaler.function(x[:, :, :width]).shape == (1, 16, 2 * width, 1)
    np.testing.assert_array_equal(upscaler.function(x), first)


def test_models_are_given_back_before_a_photo_is_encoded(photo, small, tmp_path):
    upscaler, there = choose_upscaler(small, "litert"), []

    def release():
        upscaler.release()
        there.append((tmp_path / "large.png").exists())

    write_image(tmp_path / "photo.png", photo)
    sources = tmp_path / "photo.png", tmp_path / "large.png"
    upscale_image(dataclasses.replace(upscaler, release=release), *sources)
    assert there == [False]
    again = upscale_photo(upscaler, photo)
    np.testing.assert_array_equal(read_image(tmp_path / "large.png"), again)


def test_what_a_tile_raises_reaches_the_caller(small):
    infinite = jax.tree.map(lambda x: 1e38 * x, small.variables)
    upscaler = choose_upscaler(dataclasses.replace(small, variables=infinite), "litert")
    with pytest.raises(InputError, match="NaN or infinite"):
        upscale_photo(upscaler, np.full((40, 40), 200, np.uint8), tile=32)


@pytest.mark.parametrize("name", ["fsrcnn_x2", "sesr_m3_x2_qat"])
def test_slow_operations_and_ranges_stay_with_xla(name):
    assert load_upscaler(name).concurrent is None


def test_ranges_are_run_in_int8_on_request(photo):
    found, want = (
        upscale_photo(load_upscaler("sesr_m3_x2_qat", runtime), photo[:24, :24])
        for runtime in ("litert", "xla")
    )
    assert 0 < np.abs(found.astype(int) - want).mean() < 0.5


def test_a_network_too_deep_for_litert_s_memory_is_run_by_xla():
    deep = network.init("rrdbnet", scale=4, key=jax.random.key(0), features=4, grow=2, blocks=8)
    assert choose_upscaler(deep).concurrent is None


def test_without_the_extra_xla_runs(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_converter", None)
    assert choose_upscaler(small).concurrent is None
    with pytest.raises(InputError, match=r"litert_converter.*sesr_jax\[export\]"):
        choose_upscaler(small, "litert")


def test_what_is_no_network_has_no_choice(capsys):
    argv = ["upscale", "a.png", "b.png", "--model", "bicubic_x2", "--runtime", "xla"]
    assert main(argv) == 2
    assert "--runtime xla" in capsys.readouterr().err
