"""ITU-R BT.601 colour in studio range, with the coefficients of MATLAB's `rgb2ycbcr`.

Values are floats, and 1.0 stands for code 255: RGB in [0, 1], Y in [16/255, 235/255], Cb and Cr in
[16/255, 240/255]. Nothing is rounded or clipped. The functions take NumPy and JAX arrays of any
leading shape, and keep their dtype.

    y = rgb_to_y(image.astype(np.float32) / 255)
"""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from sesr_jax.errors import InputError

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")

# Columns Y, Cb, Cr; rows R, G, B; in codes of 255.
_MATRIX = (
    (65.481, -37.797, 112.0),
    (128.553, -74.203, -93.786),
    (24.966, 112.0, -18.214),
)
_OFFSET = (16.0, 128.0, 128.0)


def rgb_to_y(rgb: Array) -> Array:
    """Returns the luma of ``[..., 3]`` as ``[..., 1]``: Y = (65.481 R + 128.553 G + 24.966 B + 16) / 255.

    Raises:
        InputError: the last axis is not 3, or the values are integers.
    """
    return _apply_affine(rgb, np.array(_MATRIX)[:, :1] / 255, np.array(_OFFSET)[:1] / 255)


def to_channels(rgb: Array, channels: int) -> Array:
    """Converts ``[..., 3]`` in [0, 1] to the input of a network: luma for 1 channel, RGB itself for 3."""
    return rgb_to_y(rgb) if channels == 1 else rgb


def rgb_to_ycbcr(rgb: Array) -> Array:
    """Converts ``[..., 3]`` from RGB to Y, Cb and Cr.

    Raises:
        InputError: the last axis is not 3, or the values are integers.
    """
    return _apply_affine(rgb, np.array(_MATRIX) / 255, np.array(_OFFSET) / 255)


def grey_to_rgb(image: np.ndarray) -> np.ndarray:
    """Returns an RGB image ``[H, W, 3]`` as it is, and repeats a grey one ``[H, W]`` to R = G = B."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)


def ycbcr_to_rgb(ycbcr: Array) -> Array:
    """Inverts `rgb_to_ycbcr` exactly; colours outside the RGB cube come out beyond [0, 1].

    Raises:
        InputError: the last axis is not 3, or the values are integers.
    """
    inverse = np.linalg.inv(np.array(_MATRIX) / 255)
    return _apply_affine(ycbcr, inverse, -(np.array(_OFFSET) / 255) @ inverse)


def _apply_affine(pixels: Array, matrix: np.ndarray, offset: np.ndarray) -> Array:
    """Computes ``pixels @ matrix + offset`` in the dtype of `pixels`.

    The product is spelled out, since accelerators compute a float32 `@` in fewer bits by default.
    """
    if pixels.shape[-1:] != (3,) or np.issubdtype(pixels.dtype, np.integer):
        raise InputError(
            f"a colour array is {pixels.dtype}{list(pixels.shape)}: it must be floats in [0, 1] with 3 "
            "channels last."
        )
    if isinstance(pixels, np.ndarray):
        return _mix_channels(pixels, matrix.astype(pixels.dtype), offset.astype(pixels.dtype))
    red, green, blue = matrix.astype(pixels.dtype)
    return (
        pixels[..., 0:1] * red
        + pixels[..., 1:2] * green
        + pixels[..., 2:3] * blue
        + offset.astype(pixels.dtype)
    )


def _mix_channels(pixels: np.ndarray, matrix: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Computes the same channel by channel, since NumPy is slow where the last axis is short."""
    red, green, blue = (pixels[..., i].copy() for i in range(3))
    result = np.empty((*pixels.shape[:-1], len(offset)), pixels.dtype)
    for i, weights in enumerate(matrix.T):
        total = red * weights[0]
        for channel, weight in ((green, weights[1]), (blue, weights[2])):
            total += channel * weight
        result[..., i] = total + offset[i]
    return result
