import dataclasses
import re

import jax
import numpy as np
import pytest

from sesr_jax.data import imresize, open_embedded, rgb_to_y, write_image
from sesr_jax.errors import InputError
from sesr_jax.graph import Extent
from sesr_jax.metrics import psnr
from sesr_jax.models import network
from sesr_jax.upscale import (
    bicubic_upscaler,
    from_network,
    in_domain,
    load_upscaler,
    upscale_image,
    upscale_photo,
)
from sesr_jax.upscale.upscaler import _bound_programs


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return open_embedded("eval")[0].hr[100:170, 150:260]


@pytest.fixture(scope="module")
def small() -> network.Network:
    return network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_matlabs_on_every_channel(photo, scale):
    large = upscale_photo(bicubic_upscaler(scale), photo, tile=40)
    want = imresize(photo.astype(np.float64), scale).clip(0, 255)
    assert large.shape == want.shape
    assert np.abs(large - want).max() < 0.51


def test_tiles_do_not_show(photo, small):
    upscaler = from_network(small)
    whole = upscale_photo(upscaler, photo, tile=None)
    tiled = upscale_photo(upscaler, photo, tile=32)
    assert np.abs(whole.astype(int) - tiled).max() <= 1  # a tie that rounds either way
    assert (whole != tiled).mean() < 1e-3


def test_a_network_sees_luma_and_colours_are_bicubic(photo, small):
    upscaler = from_network(small)
    large = upscale_photo(upscaler, photo, tile=None)
    got = rgb_to_y(large / 255)
    want = np.asarray(upscaler.function(rgb_to_y(photo / 255)[None].astype(np.float32)))[0]
    inside = (want > 0.1) & (want < 0.85)  # where no colour leaves the cube and is clipped
    assert psnr(got[inside][None], want[inside][None]) > 45


def test_grey_photos_equal_grey_rgb_photos(photo, small):
    grey = photo[..., 1]
    upscaler = from_network(small)
    large = upscale_photo(upscaler, grey)
    colour = upscale_photo(upscaler, np.repeat(grey[..., None], 3, -1))
    assert large.shape == (140, 220)
    assert np.abs(colour - large[..., None].astype(int)).max() <= 1


def test_photos_smaller_than_a_tile_or_than_the_network(small):
    upscaler = from_network(small)
    for shape in ((1, 1), (3, 50, 3), (7, 5)):
        photo = np.full(shape, 128, np.uint8)
        large = upscale_photo(upscaler, photo)
        assert large.shape == (2 * shape[0], 2 * shape[1], *shape[2:])


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8)]
)
def test_arrays_that_are_no_photo(photo):
    with pytest.raises(InputError, match=re.escape(f"{photo.dtype}{list(photo.shape)}")):
        upscale_photo(bicubic_upscaler(2), photo)


def test_domains(photo, small):
    upscaler = from_network(small)
    luma = rgb_to_y(photo / 255).astype(np.float32)
    np.testing.assert_allclose(
        in_domain(upscaler, "y")(luma), np.asarray(small.apply(luma[None])[0]), atol=1e-6
    )
    rgb = in_domain(upscaler, "rgb")(photo / np.float32(255))
    np.testing.assert_array_equal(np.rint(rgb * 255), upscale_photo(upscaler, photo, tile=None))


def test_a_large_image_is_measured_in_tiles(monkeypatch):
    shapes = set()

    def function(x):
        shapes.add(x.shape[1:3])
        return bicubic_upscaler(2).function(x)

    upscaler = dataclasses.replace(bicubic_upscaler(2), function=function)
    y = np.linspace(0, 1, 300 * 270, dtype=np.float32).reshape(300, 270, 1)
    rgb = np.repeat(y, 3, axis=-1)
    whole = [in_domain(upscaler, "y")(y), in_domain(upscaler, "rgb")(rgb)]
    assert shapes == {(300, 270)}
    shapes.clear()
    monkeypatch.setattr("sesr_jax.upscale.upscaler._LARGE", 300 * 270 - 1)
    tiled = [in_domain(upscaler, "y")(y), in_domain(upscaler, "rgb")(rgb)]
    assert shapes == {(256, 256)}
    np.testing.assert_allclose(tiled[0], whole[0], atol=1e-6)
    np.testing.assert_allclose(tiled[1], whole[1], atol=1.01 / 255)


def test_programs_for_many_sizes_are_forgotten(monkeypatch):
    calls = []

    class Compiled:
        def __call__(self, x):
            return x

        def clear_cache(self):
            calls.append("clear")

    run = _bound_programs(Compiled())
    for side in (*range(1, 17), 3, 17, 17, 3):
        run(np.zeros((1, side, side, 1)))
    assert calls == ["clear"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_output_that_is_not_finite_is_refused(tmp_path, wrong, channels):
    """Where the image is bright: other images, and other tiles of this one, are upscaled."""

    def function(x):
        large = np.array(bicubic_upscaler(2).function(x))
        large[large > 0.85] = wrong
        return large

    upscaler = dataclasses.replace(
        bicubic_upscaler(2), name="a net", channels=channels, function=function
    )
    photo = np.full((12, 40, 3), 99, np.uint8)
    upscale_photo(upscaler, photo, tile=16)
    photo[4:8, 28:32] = 255
    domains = [(in_domain(upscaler, "rgb"), photo / 255)]
    if channels == 1:
        domains.append((in_domain(upscaler, "y"), photo[..., :1] / np.float32(255)))
    for measured, image in domains:
        with pytest.raises(InputError, match="a net"):
            measured(image)
    write_image(tmp_path / "a.png", photo)
    with pytest.raises(InputError, match=r"a\.png: a net .* finite"):
        upscale_image(upscaler, tmp_path / "a.png", tmp_path / "b.png", tile=16)
    assert not (tmp_path / "b.png").exists()


def test_names(tmp_path, small):
    network.save(small, tmp_path / "w.safetensors")
    assert load_upscaler("bicubic_x3").scale == 3
    assert load_upscaler(tmp_path / "w.safetensors").name == "sesr_m3"
    with pytest.raises(InputError, match="'bicubic'"):
        load_upscaler("bicubic")


def test_a_model_of_one_small_size_is_to_be_exported_larger():
    small = dataclasses.replace(bicubic_upscaler(2), tile=(16, 20), extent=Extent(halo=9))
    with pytest.raises(InputError, match=r"20×16 .* 19"):
        upscale_photo(small, np.zeros((40, 40), np.uint8))
    assert upscale_photo(small, np.zeros((16, 18), np.uint8)).shape == (32, 36)
