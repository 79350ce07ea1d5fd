"""Bicubic resizing that equals MATLAB's `imresize`, which made the benchmarks' low resolutions.

The kernel is Keys' cubic with a = -0.5 (Keys 1981, eq. 15), widened by 1 / scale when an image shrinks
(antialiasing). Edges are mirrored, and the border pixel is repeated. Pixel centres lie at half-integers.
The dimension with the smaller scale factor goes first, and on a tie rows go before columns. A `uint8`
image is rounded (half up) and clipped after *each* dimension; a floating one is computed in float64 and
neither rounded nor clipped.

    lr = imresize(modcrop(hr, 3), Fraction(1, 3))

There is only the cubic kernel, since the benchmarks use no other.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from sesr_jax.errors import InputError

_ROWS = 256  # of the output, resized at once


def imresize(
    image: np.ndarray,
    scale: float | Fraction | None = None,
    *,
    shape: Sequence[int] | None = None,
    peak: int | None = None,
) -> np.ndarray:
    """Resizes ``[H, W]`` or ``[H, W, C]`` by `scale`, or to `shape` (height, width).

    With `scale`, the output is ``[ceil(scale · H), ceil(scale · W)]``; a `Fraction` keeps that
    product exact where a float may land just above an integer. With `shape`, each dimension has the
    scale factor output / input. Exactly one of the two must be given.

    With `peak`, a `uint8` image is resized as the floats ``image / peak``, which memory holds in part only.

    Returns:
        `uint8` for a `uint8` image without `peak`, float64 else.

    Raises:
        InputError: the image is neither uint8 nor floating, is empty or has another rank; the scale
            or the shape is not positive; or not exactly one of them is given.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or not image.size:
        raise InputError(
            f"an image of shape {image.shape} can't be resized: it must be [H, W] or [H, W, C]."
        )
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise InputError(
            f"an image of dtype {image.dtype} can't be resized: it must be uint8 or floating."
        )
    if (scale is None) == (shape is None):
        raise InputError(f"scale={scale} and shape={shape}: exactly one of them must be given.")
    if scale is not None:
        if not 0 < scale < math.inf:
            raise InputError(f"the scale is {scale}: it must be positive and finite.")
        lengths = [math.ceil(scale * n) for n in image.shape[:2]]
        scales = [float(scale)] * 2
    else:
        lengths = [int(n) for n in shape or ()]
        if len(lengths) != 2 or min(lengths) < 1:
            raise InputError(f"the shape is {shape}: it must be a positive height and width.")
        scales = [out / n for out, n in zip(lengths, image.shape[:2], strict=True)]

    if scales[0] > scales[1]:  # columns first
        turned = imresize(np.swapaxes(image, 0, 1), shape=lengths[::-1], peak=peak)
        return np.ascontiguousarray(np.swapaxes(turned, 0, 1))
    down, right = (
        contributions(n, length, scale)
        for n, length, scale in zip(image.shape[:2], lengths, scales, strict=True)
    )
    dtype = np.uint8 if image.dtype == np.uint8 and peak is None else np.float64
    result = np.empty((*lengths, *image.shape[2:]), dtype)
    for top in range(0, lengths[0], _ROWS):
        weights, indices = (each[top : top + _ROWS] for each in down)
        first = indices.min()
        rows = np.ascontiguousarray(image[first : indices.max() + 1])
        rows = _resize_rows(rows if peak is None else rows / peak, weights, indices - first)
        columns = _resize_rows(np.ascontiguousarray(np.swapaxes(rows, 0, 1)), *right)
        result[top : top + _ROWS] = np.swapaxes(columns, 0, 1)
    return result


def enlarge(image: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """Resizes ``[H, W, C]`` by whole factors along height and width, each 1 or more, in float32.

    It is `imresize` but for the rounding of float32, and several times as fast: all output positions with one
    remainder by the factor have the same weights, and are computed at once.

    Returns:
        float32 ``[factors[0]·H, factors[1]·W, C]``.

    Raises:
        InputError: a factor is less than 1.
    """
    if min(factors) < 1:
        raise InputError(f"the factors are {tuple(factors)}: each must be 1 or more.")
    planes = np.ascontiguousarray(np.moveaxis(image, -1, 0), np.float32)
    result = _enlarge_axis(_enlarge_axis(planes, factors[1], 2), factors[0], 1)
    return np.moveaxis(result, 0, -1)


def _enlarge_axis(planes: np.ndarray, factor: int, axis: int) -> np.ndarray:
    """Resizes one axis of ``[C, H, W]`` by a whole factor."""
    if factor == 1:
        return planes
    before, length = (slice(None),) * axis, planes.shape[axis]
    padded = np.pad(planes, [(2, 2) if i == axis else (0, 0) for i in range(3)], "symmetric")
    result = np.empty(
        [n * factor if i == axis else n for i, n in enumerate(planes.shape)], np.float32
    )
    for phase in range(factor):
        centre = (phase + 0.5) / factor - 0.5
        positions = math.floor(centre) + np.arange(-1, 3)
        weights = _cubic(centre - positions).astype(np.float32)
        total = np.zeros_like(planes)
        for start, weight in zip(2 + positions, weights, strict=True):
            total += weight * padded[(*before, slice(start, start + length))]
        result[(*before, slice(phase, None, factor))] = total
    return result


def contributions(in_length: int, out_length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the input positions that each output position reads along one dimension, and their weights.

    Returns:
        weights: float64 ``[out_length, taps]``; each row sums to 1.
        indices: int64 ``[out_length, taps]`` in [0, in_length), mirrored at the edges.
    """
    stretch = max(1.0, 1 / scale)  # antialiasing: the kernel covers at least one output pixel
    width = 4 * stretch
    centres = (np.arange(out_length) + 0.5) / scale - 0.5
    first = np.floor(centres - width / 2).astype(np.int64)
    positions = first[:, None] + np.arange(math.ceil(width) + 2)
    weights = _cubic((centres[:, None] - positions) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    period = positions[:, used] % (2 * in_length)
    return weights[:, used], np.minimum(period, 2 * in_length - 1 - period)


def modcrop(image: np.ndarray, scale: int) -> np.ndarray:
    """Crops ``[H, W, ...]`` at the bottom and the right to the largest multiples of `scale`.

    Raises:
        InputError: the scale is not a positive integer, or the image is smaller than it.
    """
    if not isinstance(scale, int | np.integer) or scale < 1:
        raise InputError(f"the scale is {scale}: it must be a positive integer.")
    height, width = (n - n % scale for n in image.shape[:2])
    if not height or not width:
        raise InputError(
            f"an image of shape {image.shape} is too small: its sides must have {scale} pixels or more."
        )
    return image[:height, :width]


def make_low_resolution(hr: np.ndarray, scale: int) -> np.ndarray:
    """Returns the benchmarks' low resolution: crops `hr` by `modcrop` and reduces it by `imresize`.

    ``[H, W, ...]`` becomes ``[H // scale, W // scale, ...]``, in the dtypes of `imresize`.
    """
    return imresize(modcrop(hr, scale), Fraction(1, int(scale)))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Evaluates Keys' cubic convolution kernel, a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _resize_rows(image: np.ndarray, weights: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Computes weighted sums of the rows of ``[H, ...]``: ``[out, ...]``, rounded and clipped for uint8.

    It computes one output row at a time, so that the working memory is a few rows in cache, and the order
    of summation, which decides ties of the rounding, is the same on every machine.
    """
    is_uint8 = image.dtype == np.uint8
    out = np.empty((len(weights), *image.shape[1:]), np.uint8 if is_uint8 else np.float64)
    source, target = image.reshape(len(image), -1), out.reshape(len(out), -1)
    for row, (weight, index) in enumerate(zip(weights, indices, strict=True)):
        total = (source[index] * weight[:, None]).sum(axis=0)
        target[row] = np.clip(np.floor(total + 0.5), 0, 255) if is_uint8 else total
    return out
