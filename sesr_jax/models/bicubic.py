"""Bicubic interpolation inside a network, as a fixed convolution, which every runtime has."""

import itertools

import jax
import numpy as np

from sesr_jax import ops

_TAPS = 5
"""The side of the bicubic kernel of an integer scale factor."""

PYTORCH, MATLAB = -0.75, -0.5
"""Keys' parameter (1981), as these choose it."""


def resize_bicubically(x: jax.Array, scale: int, keys: float) -> jax.Array:
    """Returns ``[N, s·H, s·W, C]`` as bicubic interpolation gives it, by one 5×5 convolution per channel.

    Pixel centres are at halves, and pixels outside of the image are those at its edge, as in PyTorch. MATLAB
    mirrors the image instead, which makes a difference in the outermost two pixels of the input.

    Args:
      x: ``[N, H, W, C]``.
      scale: s.
      keys: Keys' parameter, `PYTORCH` or `MATLAB`.
    """
    channels = x.shape[-1]
    for _ in range(2):  # one mirrored pixel is the one at the edge
        x = ops.pad(x, padding=((1, 1), (1, 1)), mode="symmetric")
    places = [(phase + 0.5) / scale - 0.5 for phase in range(scale)]
    lines = np.stack([_list_weights(place, keys) for place in places])
    phases = [np.outer(row, column) for row, column in itertools.product(lines, lines)]
    kernel = np.tile(np.stack(phases, axis=-1)[:, :, None], channels).astype(np.float32)
    y = ops.conv2d(x, kernel, padding="VALID", groups=channels)
    if channels > 1:
        y = ops.channel_shuffle(y, groups=channels)
    return ops.depth_to_space(y, block=scale)


def _list_weights(place: float, a: float) -> np.ndarray:
    """Returns the weights of the pixels at -2 … 2 for a value at `place`."""
    distance = np.abs(np.arange(_TAPS) - _TAPS // 2 - place)
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
