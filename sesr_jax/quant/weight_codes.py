"""The codes of weights, as TensorFlow's converter chooses them: every file and every proof uses these.

A kernel's codes are symmetric in ±127, with one scale per output channel. A bias has int32 codes of the scale
``S_input · S_kernel``, and leaves half of int32 to the sum: where a bias is beyond that, its channel's kernel
has coarser codes. Scales are computed in float64, and ties are rounded away from zero.
"""

from typing import Any

import numpy as np

from sesr_jax.quant.scheme import widen

LARGEST_CODE = 127
"""The largest code of a kernel or a slope, on both sides of 0."""

LARGEST_BIAS = 2**30 - 1
"""The largest code of a bias; the converter leaves the other half of int32 to the sum."""


def symmetric_scale(values: np.ndarray, axes: tuple[int, ...] | None = None) -> Any:
    """Returns the scale, or one for each index along the axes that are left, of codes in ±127."""
    largest = np.abs(values).max(axis=axes)
    low, high = widen(-largest, largest)
    return (high - low) / (2 * LARGEST_CODE)


def kernel_scale(
    kernel: np.ndarray, bias: np.ndarray | float, input_scale: float, channel_axis: int = -1
) -> np.ndarray:
    """Returns the scales of a kernel's codes, float64 ``[out]``.

    Args:
      kernel: a kernel of rank 4.
      bias: ``[out]``, or 0.
      input_scale: the scale of the codes that the kernel multiplies.
      channel_axis: the kernel's axis of output channels.
    """
    axes = tuple(axis for axis in range(4) if axis != channel_axis % 4)
    scale = symmetric_scale(kernel, axes)
    largest = np.abs(np.asarray(bias, np.float64))
    too_large = largest / (input_scale * scale) > LARGEST_BIAS
    return np.where(too_large, largest / LARGEST_BIAS / input_scale, scale)


def round_to_codes(x: Any, lowest: int = -128, highest: int = 127) -> np.ndarray:
    """Returns the int32 nearest to `x`, ties away from zero, within [lowest, highest]."""
    rounded = np.copysign(np.floor(np.abs(x) + 0.5), x)
    return np.clip(rounded, lowest, highest).astype(np.int32)
