"""BT.601 by its published anchors, in NumPy and JAX."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.errors import InputError


def pixels(dtype=np.float64):
    return np.random.default_rng(0).uniform(size=(5, 4, 3)).astype(dtype)


def test_black_and_white_are_the_ends_of_studio_range():
    ycbcr = rgb_to_ycbcr(np.array([[0.0, 0, 0], [1, 1, 1]])) * 255
    np.testing.assert_allclose(ycbcr, [[16, 128, 128], [235, 128, 128]], atol=1e-12)


def test_grey_has_219_of_255_codes_of_luma_and_no_chroma():
    grey = np.linspace(0, 1, 256)[:, None]
    ycbcr = rgb_to_ycbcr(np.repeat(grey, 3, axis=1)) * 255
    np.testing.assert_allclose(ycbcr[:, 0], 16 + 219 * grey[:, 0], rtol=1e-13)
    np.testing.assert_allclose(ycbcr[:, 1:], 128, rtol=1e-13)


def test_is_the_rescaled_full_range_bt601_of_pillow():
    # JPEG's YCbCr is the same matrix in full range, which Pillow rounds to 8 bits.
    codes = (pixels() * 255).astype(np.uint8)
    full = np.asarray(Image.fromarray(codes).convert("YCbCr"), np.float64)
    studio = rgb_to_ycbcr(codes / 255) * 255
    np.testing.assert_allclose(studio[..., 0], 16 + full[..., 0] * 219 / 255, atol=1)
    np.testing.assert_allclose(studio[..., 1:], 128 + (full[..., 1:] - 128) * 224 / 255, atol=1)


def test_luma_is_the_first_channel():
    rgb = pixels()
    np.testing.assert_array_equal(rgb_to_y(rgb), rgb_to_ycbcr(rgb)[..., :1])


def test_inverse():
    rgb = pixels()
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-14)
    np.testing.assert_allclose(rgb_to_ycbcr(ycbcr_to_rgb(rgb)), rgb, atol=1e-14)


@pytest.mark.parametrize("convert", [rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb])
def test_numpy_and_jax_agree_and_keep_the_dtype(convert):
    for dtype in (np.float32, np.float64):
        assert convert(pixels(dtype)).dtype == dtype
    expected = convert(pixels())
    result = jax.jit(convert)(jnp.asarray(pixels(np.float32)))
    assert isinstance(result, jax.Array)
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, expected, atol=2e-6)
    one = (0,) * (pixels().ndim - 1)
    np.testing.assert_array_equal(convert(pixels()[one]), expected[one])


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.zeros((4, 3), np.uint8), np.zeros(())])
def test_bad_input(bad):
    with pytest.raises(InputError, match=re.escape(f"{bad.dtype}{list(bad.shape)}")):
        rgb_to_y(bad)
