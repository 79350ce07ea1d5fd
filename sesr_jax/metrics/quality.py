"""PSNR and SSIM of two images, as the papers of the field measure them.

Images are ``[H, W]`` or ``[H, W, C]``; `peak` is the value of full scale, and the computation is in
float64. A `sesr_jax.metrics.protocol.Protocol` decides the colour space, the border and the rounding.

    psnr(sr, hr), ssim(sr, hr)
"""

import math

import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError

WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(a: npt.ArrayLike, b: npt.ArrayLike, peak: float = 1.0) -> float:
    """Returns the peak signal-to-noise ratio in dB, 10 log10(peak² / MSE) over all pixels and channels.

    It is infinite for identical images.

    Raises:
        InputError: the shapes differ, are not those of images, or are empty.
    """
    a, b = _check_pair(a, b, smallest=1)
    mse = np.mean(np.square(a - b))
    return 10 * math.log10(peak**2 / mse) if mse else math.inf


def ssim(a: npt.ArrayLike, b: npt.ArrayLike, peak: float = 1.0) -> float:
    """Returns the structural similarity, at most 1 (Wang et al. 2004, eq. 13), averaged over all channels.

    As in the authors' MATLAB code, the window is a Gaussian of 11×11 with σ = 1.5, which must lie inside
    the image, and K1 = 0.01, K2 = 0.03. Their later step that first shrinks large images is left out.

    Raises:
        InputError: the shapes differ, are not those of images, or are smaller than the window.
    """
    return float(np.mean(map_ssim(a, b, peak)))


def map_ssim(a: npt.ArrayLike, b: npt.ArrayLike, peak: float = 1.0) -> np.ndarray:
    """Returns the similarity under each place of the window inside the image: ``[H - 10, W - 10, …]``.

    Raises:
        InputError: see `ssim`.
    """
    a, b = _check_pair(a, b, smallest=WINDOW)
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a**2
    var_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return np.asarray(luminance * structure)


def _check_pair(a: npt.ArrayLike, b: npt.ArrayLike, smallest: int) -> tuple[np.ndarray, np.ndarray]:
    """Checks both images, and returns them in float64."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim not in (2, 3) or min(x.shape[:2]) < smallest or not x.size:
        raise InputError(
            f"images of shapes {x.shape} and {y.shape} can't be compared: both must be [H, W] or "
            f"[H, W, C], of one shape and with sides of {smallest} pixels or more."
        )
    return x, y


def _blur(image: np.ndarray) -> np.ndarray:
    """Returns the means under the Gaussian window where it lies inside: ``[H - 10, W - 10, ...]``."""
    taps = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    taps /= taps.sum()
    for axis in (0, 1):
        rows = np.swapaxes(image, 0, axis)
        inside = len(rows) - WINDOW + 1
        image = np.swapaxes(
            sum(tap * rows[start : start + inside] for start, tap in enumerate(taps)), 0, axis
        )
    return image
