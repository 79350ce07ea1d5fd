"""PSNR by its formula, SSIM against scikit-image."""

import math
import re

import numpy as np
import pytest

from sesr_jax.data.sources import open_embedded
from sesr_jax.errors import InputError
from sesr_jax.metrics.quality import psnr, ssim


@pytest.fixture(scope="module")
def photo():
    return open_embedded("eval")[1].hr[:120, :150] / 255


def noisy(image, sigma):
    return image + np.random.default_rng(0).normal(0, sigma, image.shape)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
@pytest.mark.parametrize("peak", [1.0, 255.0])
def test_psnr_of_a_known_error(shape, peak):
    a = np.zeros(shape)
    assert psnr(a, a + peak / 10, peak) == pytest.approx(20)
    b = a.copy()
    b.flat[0] = peak
    assert psnr(a, b, peak) == pytest.approx(10 * math.log10(a.size))


def test_psnr_of_identical_images(photo):
    assert psnr(photo, photo) == math.inf


def test_psnr_does_not_depend_on_the_unit_and_is_symmetric(photo):
    other = noisy(photo, 0.05)
    assert psnr(photo * 255, other * 255, 255) == pytest.approx(psnr(photo, other))
    assert psnr(photo, other) == psnr(other, photo)


def test_integers_do_not_overflow():
    a, b = np.uint8([[0, 255]]), np.uint8([[255, 0]])
    assert psnr(a, b, peak=255) == 0


@pytest.mark.parametrize("sigma", [0.01, 0.1])
@pytest.mark.parametrize("channel", [slice(1), slice(3)])
@pytest.mark.parametrize("peak", [1.0, 255.0])
def test_ssim_agrees_with_scikit_image(photo, sigma, channel, peak):
    from skimage.metrics import structural_similarity

    a, b = photo[..., channel] * peak, noisy(photo, sigma)[..., channel] * peak
    _, full = structural_similarity(
        a,
        b,
        data_range=peak,
        channel_axis=-1,
        win_size=11,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert ssim(a, b, peak) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-12)


def test_ssim_is_one_on_itself_symmetric_and_falls_with_noise(photo):
    values = [ssim(photo, noisy(photo, sigma)) for sigma in (0, 0.01, 0.05, 0.2)]
    assert values[0] == 1
    assert all(np.diff(values) < 0)
    other = noisy(photo, 0.1)
    assert ssim(photo, other) == pytest.approx(ssim(other, photo), abs=1e-15)


def test_ssim_of_constants_is_the_luminance_term():
    a, b = np.full((11, 11), 0.4), np.full((11, 11), 0.6)
    c1 = 0.01**2
    expected = (2 * 0.4 * 0.6 + c1) / (0.4**2 + 0.6**2 + c1)
    assert ssim(a, b) == pytest.approx(expected)


def test_a_plane_and_its_channel_are_the_same(photo):
    a, b = photo[..., 0], noisy(photo[..., 0], 0.1)
    assert psnr(a, b) == psnr(a[..., None], b[..., None])
    assert ssim(a, b) == ssim(a[..., None], b[..., None])


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize(
    ("a", "b"),
    [((20, 20), (20, 21)), ((20,), (20,)), ((0, 20), (0, 20)), ((20, 20, 0), (20, 20, 0))],
)
def test_bad_shapes(measure, a, b):
    with pytest.raises(InputError, match=re.escape(f"{a} and {b}")):
        measure(np.zeros(a), np.zeros(b))


def test_ssim_needs_a_window():
    with pytest.raises(InputError, match=r"\(10, 30\).* 11 "):
        ssim(np.zeros((10, 30)), np.zeros((10, 30)))
