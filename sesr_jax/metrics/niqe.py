"""NIQE, how far an image's statistics are from those of undisturbed photos (Mittal et al., IEEE SPL 2013).

    model = read_niqe_model("niqe_pris_params.npz")
    niqe(image, model)              # the lower, the more natural

It needs no reference. The image is cut into blocks of 96×96 pixels, on two scales. Each block gives 36
features: the parameters of generalised Gaussian distributions that are fitted to its normalised luma, and to
the products of that with its neighbours. The metric is the distance between the Gaussian of these features
and a Gaussian `NiqeModel`, which the authors fitted to 125 photos and published; BasicSR has it as .npz.
"""

import dataclasses
import functools
import math
import os

import numpy as np

from sesr_jax.data.colour import grey_to_rgb, rgb_to_y
from sesr_jax.data.resize import imresize
from sesr_jax.errors import InputError
from sesr_jax.untrusted import read_npz

BLOCK = 96
"""The side of a block in pixels."""

FEATURES = 36

_RADIUS, _SIGMA = 3, 7 / 6
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""The neighbours that each pixel is multiplied by: to its left, above it, and on both diagonals above it."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NiqeModel:
    """The Gaussian of the features of undisturbed photos.

    Attributes:
      mean: ``[36]``.
      covariance: ``[36, 36]``.
    """

    mean: np.ndarray
    covariance: np.ndarray


def read_niqe_model(path: str | os.PathLike[str]) -> NiqeModel:
    """Reads the published model from BasicSR's niqe_pris_params.npz.

    Raises:
      InputError: the file is missing, damaged or of another kind.
    """
    arrays = read_npz(path)
    names = ("mu_pris_param", "cov_pris_param")
    if missing := [name for name in names if name not in arrays]:
        raise InputError(f"{path} has no {missing[0]}: it must be niqe_pris_params.npz of BasicSR.")
    mean, covariance = (np.asarray(arrays[name], np.float64) for name in names)
    if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
        raise InputError(
            f"{path} has arrays {mean.shape} and {covariance.shape}: {FEATURES} features must be described."
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise InputError(f"{path} holds numbers that are not finite: all must be finite.")
    return NiqeModel(mean=mean.reshape(-1), covariance=covariance)


def niqe(image: np.ndarray, model: NiqeModel) -> float:
    """Returns the NIQE of an image, uint8 ``[H, W]`` (grey, as R = G = B) or ``[H, W, 3]`` (RGB).

    As in the authors' MATLAB code, it is computed on luma that is rounded to codes, on as many whole blocks
    as there are. A block without any texture has no features and does not count.

    Raises:
      InputError: fewer than two blocks have features.
    """
    rows, columns = (side // BLOCK for side in image.shape[:2])
    luma = np.round(255 * rgb_to_y(grey_to_rgb(image[: rows * BLOCK, : columns * BLOCK]) / 255))[
        ..., 0
    ]
    features = []
    for scale in (1, 2):
        if not luma.size:
            break
        features.append(_measure_blocks(_normalise(luma), BLOCK // scale))
        luma = 255 * imresize(luma / 255, 0.5)
    table = np.concatenate(features, axis=1) if features else np.zeros((0, FEATURES))
    whole = table[np.isfinite(table).all(axis=1)]
    if len(whole) < 2:
        raise InputError(
            f"an image of {image.shape[1]}×{image.shape[0]} pixels has {len(whole)} blocks of "
            f"{BLOCK}×{BLOCK} with texture: NIQE takes two or more."
        )
    apart = model.mean - np.nanmean(np.where(np.isfinite(table), table, np.nan), axis=0)
    spread = (model.covariance + np.cov(whole, rowvar=False)) / 2
    return math.sqrt(max(0.0, float(apart @ np.linalg.pinv(spread) @ apart)))


def _normalise(luma: np.ndarray) -> np.ndarray:
    """Subtracts the mean of each pixel's surroundings, and divides by their deviation plus 1."""
    mean = _blur(luma)
    return (luma - mean) / (np.sqrt(np.abs(_blur(luma**2) - mean**2)) + 1)


def _blur(image: np.ndarray) -> np.ndarray:
    """Returns the means under a Gaussian of 7×7; beyond the image its last pixels are repeated."""
    taps = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2))
    taps /= taps.sum()
    for axis in (0, 1):
        lines = np.swapaxes(image, 0, axis)
        padded = np.pad(lines, ((_RADIUS, _RADIUS), (0, 0)), "edge")
        lines = sum(tap * padded[i : i + len(lines)] for i, tap in enumerate(taps))
        image = np.swapaxes(lines, 0, axis)
    return image


def _measure_blocks(image: np.ndarray, side: int) -> np.ndarray:
    """Returns the 18 features of each block, ``[blocks, 18]``; they are NaN where a block has no texture."""
    height, width = image.shape
    rows = image.reshape(height // side, side, width // side, side)
    blocks = rows.swapaxes(1, 2).reshape(-1, side, side)
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _fit(blocks * np.roll(blocks, shift, axis=(1, 2)))
        gamma = np.vectorize(math.gamma, otypes=[float])
        features += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return np.stack(features, axis=1)


def _fit(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits asymmetric generalised Gaussians to the values of each block, by their moments.

    Returns:
      The shapes, and the scales to the left and to the right of 0, ``[blocks]`` each (Mittal et al., §II-B;
      Lasmar et al. 2009).
    """
    values = blocks.reshape(len(blocks), -1)
    shapes, ratios, gammas = _tabulate_shapes()
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            np.sqrt(np.where(side, values**2, 0).sum(1) / side.sum(1))
            for side in (values < 0, values > 0)
        )
        skew = left / right
        ratio = np.abs(values).mean(1) ** 2 / (values**2).mean(1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    # The ratios rise with the shapes, so that the nearest one is a neighbour of the place.
    place = np.clip(np.searchsorted(ratios, ratio), 1, len(ratios) - 1)
    nearest = place - (ratio - ratios[place - 1] <= ratios[place] - ratio)
    nearest = np.where(np.isfinite(ratio), nearest, 0)
    return shapes[nearest], left * gammas[nearest], right * gammas[nearest]


@functools.cache
def _tabulate_shapes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the shapes that are tried, the ratio of moments and the factor of the scale of each."""
    shapes = np.arange(0.2, 10.001, 0.001)
    one, two, three = ([math.gamma(n / shape) for shape in shapes] for n in (1, 2, 3))
    ratios = np.square(two) / (np.asarray(one) * three)
    return shapes, ratios, np.sqrt(np.asarray(one) / three)
