"""MATLAB's own outputs, and the laws that any linear, mirrored, antialiased resizing obeys."""

from fractions import Fraction

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from sesr_jax.data.images import read_image
from sesr_jax.data.resize import (
    contributions,
    enlarge,
    imresize,
    make_low_resolution,
    modcrop,
)
from sesr_jax.data.sources import open_folder
from sesr_jax.errors import InputError

SCALES = [Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), 0.37, Fraction(2, 3), 1, 1.5, 2, 3, 4]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(("name", "count"), [("Set5", 5), ("Set14", 14)])
def test_equals_the_images_that_matlab_made(shared, name, count, scale):
    root = shared / "data" / "eval" / name
    pictures = open_folder(root, scale=scale)
    assert len(pictures) == count
    for picture in pictures:
        np.testing.assert_array_equal(
            make_low_resolution(picture.hr, scale), picture.lr, picture.name
        )


def test_the_benchmark_pairs_need_the_crop(shared):
    # Baby is 512 wide: without the crop MATLAB's ceil gives 171 pixels where the set has 170.
    baby = read_image(shared / "data" / "eval" / "Set5" / "HR" / "baby.png")
    assert imresize(baby, Fraction(1, 3)).shape != make_low_resolution(baby, 3).shape


@pytest.mark.parametrize("scale", SCALES)
def test_a_constant_stays(scale):
    np.testing.assert_allclose(imresize(np.full((17, 12), 0.3), scale), 0.3, rtol=1e-14)
    assert (imresize(np.full((17, 12, 3), 77, np.uint8), scale) == 77).all()


@pytest.mark.parametrize("scale", SCALES)
def test_linear(scale):
    a, b = noise(19, 14, seed=1), noise(19, 14, seed=2)
    np.testing.assert_allclose(
        imresize(2 * a - 3 * b, scale), 2 * imresize(a, scale) - 3 * imresize(b, scale), atol=1e-13
    )


@pytest.mark.parametrize("scale", SCALES)
def test_commutes_with_transposition_in_float(scale):
    image = noise(19, 14, 3)
    np.testing.assert_allclose(
        imresize(image.swapaxes(0, 1), scale), imresize(image, scale).swapaxes(0, 1), atol=1e-14
    )


def test_uint8_rounds_after_each_dimension_so_that_transposition_can_differ_by_a_code():
    image = (noise(64, 64) * 255).astype(np.uint8)
    difference = imresize(image.T, 0.5).astype(int) - imresize(image, 0.5).T
    assert np.abs(difference).max() == 1


@pytest.mark.parametrize("scale", [Fraction(1, 4), Fraction(1, 3), Fraction(1, 2), 2, 3, 4])
def test_commutes_with_mirroring_where_the_scale_divides_the_size(scale):
    image = noise(24, 12)
    np.testing.assert_allclose(
        imresize(image[::-1, ::-1], scale), imresize(image, scale)[::-1, ::-1], atol=1e-13
    )


@pytest.mark.parametrize("scale", [1, 1.0, Fraction(1)])
def test_scale_one_is_the_identity(scale):
    image = noise(9, 7)
    np.testing.assert_array_equal(imresize(image, scale), image)
    codes = (image * 255).astype(np.uint8)
    np.testing.assert_array_equal(imresize(codes, scale), codes)


@pytest.mark.parametrize("scale", SCALES)
def test_uint8_is_float_within_the_rounding_of_each_dimension(scale):
    # Codes far from 0 and 255, so that nothing is clipped. The first dimension's half code is
    # amplified by the second's sum of absolute weights.
    codes = (noise(21, 16, 3) * 60 + 100).astype(np.uint8)
    weights, _ = contributions(16, 16, float(scale))
    bound = 0.5 * np.abs(weights).sum(axis=1).max() + 0.5
    difference = imresize(codes, scale) - imresize(codes.astype(np.float32), scale)
    assert np.abs(difference).max() <= bound


def test_uint8_is_clipped_and_float_is_not():
    edge = np.repeat(np.uint8([[0, 0, 0, 0, 255, 255, 255, 255]]), 8, axis=0)
    up = imresize(edge.astype(np.float64), 2)
    assert up.min() < 0
    assert up.max() > 255
    np.testing.assert_array_equal(imresize(edge, 2), np.clip(np.floor(up + 0.5), 0, 255))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_enlarging_reproduces_quadratics_inside(degree):
    # Keys 1981: with a = -0.5, and no other, the interpolation is exact for second-degree polynomials.
    positions = np.arange(20.0)
    up = imresize(np.tile(positions**degree, (4, 1)), 3)
    expected = ((np.arange(60) + 0.5) / 3 - 0.5) ** degree
    np.testing.assert_allclose(up[5, 9:-9], expected[9:-9], rtol=1e-12)


@hypothesis.given(length=st.integers(1, 40), out=st.integers(1, 60), log_scale=st.floats(-2.5, 2.5))
def test_contributions_average_real_pixels(length, out, log_scale):
    weights, indices = contributions(length, out, 2.0**log_scale)
    assert weights.shape == indices.shape == (out, weights.shape[1])
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    assert indices.min() >= 0
    assert indices.max() < length


def test_contributions_are_the_matrix_of_imresize():
    image = noise(13, 1)
    weights, indices = contributions(13, 26, 2.0)
    matrix = np.zeros((26, 13))
    np.add.at(matrix, (np.arange(26)[:, None], indices), weights)
    np.testing.assert_allclose(imresize(image, shape=(26, 1)), matrix @ image, rtol=1e-13)


def test_the_border_pixel_is_repeated_by_the_mirror():
    image = noise(8, 8)
    padded = np.pad(image, 8, mode="symmetric")
    np.testing.assert_allclose(imresize(image, 2), imresize(padded, 2)[16:-16, 16:-16], rtol=1e-13)


def test_antialiasing_removes_what_the_smaller_image_cannot_hold():
    stripes = np.tile([0.0, 1.0], (32, 16))
    np.testing.assert_allclose(imresize(stripes, 0.25)[:, 2:-2], 0.5, atol=0.02)


def test_output_sizes():
    image = noise(11, 7)
    assert imresize(image, 0.5).shape == (6, 4)
    assert imresize(image, Fraction(1, 7)).shape == (2, 1)
    assert imresize(image, shape=(5, 20)).shape == (5, 20)
    np.testing.assert_array_equal(imresize(image, shape=(22, 14)), imresize(image, 2))


def test_dtypes():
    assert imresize(noise(4, 4).astype(np.float32), 2).dtype == np.float64
    assert imresize(np.zeros((4, 4), np.uint8), 2).dtype == np.uint8


def test_modcrop_keeps_the_top_left():
    image = noise(11, 7, 3)
    np.testing.assert_array_equal(modcrop(image, 3), image[:9, :6])
    np.testing.assert_array_equal(modcrop(image, 1), image)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: imresize(np.zeros(4), 2), r"\(4,\)"),
        (lambda: imresize(np.zeros((0, 4)), 2), r"\(0, 4\)"),
        (lambda: imresize(np.zeros((4, 4), np.int32), 2), "int32"),
        (lambda: imresize(np.zeros((4, 4))), "scale=None and shape=None"),
        (lambda: imresize(np.zeros((4, 4)), 2, shape=(8, 8)), r"scale=2 and shape=\(8, 8\)"),
        (lambda: imresize(np.zeros((4, 4)), 0), "scale is 0:"),
        (lambda: imresize(np.zeros((4, 4)), float("nan")), "scale is nan:"),
        (lambda: imresize(np.zeros((4, 4)), shape=(8,)), r"\(8,\)"),
        (lambda: imresize(np.zeros((4, 4)), shape=(8, 0)), r"\(8, 0\)"),
        (lambda: modcrop(np.zeros((4, 4)), 0), "scale is 0:"),
        (lambda: modcrop(np.zeros((4, 4)), 1.5), r"scale is 1\.5:"),
        (lambda: modcrop(np.zeros((4, 2)), 3), r"\(4, 2\).* 3 "),
        (lambda: make_low_resolution(np.zeros((2, 9), np.uint8), 4), r"\(2, 9\).* 4 "),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(InputError, match=named):
        call()


@pytest.mark.parametrize("factors", [(2, 2), (3, 3), (1, 2), (4, 1)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 7)])
def test_enlarging_is_resizing_in_float32(size, factors):
    image = noise(*size, 2)
    shape = [n * factor for n, factor in zip(size, factors, strict=True)]
    found = enlarge(image, factors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, imresize(image, shape=shape), atol=5e-7)


def test_a_factor_below_one_enlarges_nothing():
    with pytest.raises(InputError, match="0"):
        enlarge(noise(2, 2, 1), (2, 0))
