"""Unsharp masking of training targets, as Real-ESRGAN does it."""

import jax
import jax.numpy as jnp
import numpy as np

_RADIUS = 25
_SIGMA = 0.3 * (_RADIUS - 1) + 0.8  # OpenCV's deviation for a kernel of 51
_WEIGHT, _THRESHOLD = 0.5, 10 / 255


def sharpen(image: jax.Array) -> jax.Array:
    """Sharpens ``[H, W, C]`` in [0, 1] where it differs from its blurred copy by more than 10 codes of 255.

    Where it does is itself blurred, so that there are no edges between the two.
    """
    residual = image - _blur(image)
    mask = (jnp.abs(residual) > _THRESHOLD).astype(image.dtype)
    share = _blur(mask)
    sharp = jnp.clip(image + _WEIGHT * residual, 0, 1)
    return share * sharp + (1 - share) * image


def _blur(image: jax.Array) -> jax.Array:
    """Returns the image, mirrored at its edges, under a Gaussian of 51×51."""
    place = np.arange(-_RADIUS, _RADIUS + 1)
    taps = np.exp(-(place**2) / (2 * _SIGMA**2))
    taps /= taps.sum()
    for axis in (0, 1):
        length = image.shape[axis]
        period = max(2 * (length - 1), 1)
        matrix = np.zeros((length, length), np.float32)
        for tap, shift in zip(taps, place, strict=True):
            at = (np.arange(length) + shift) % period
            np.add.at(matrix, (np.arange(length), np.minimum(at, period - at)), tap)
        image = jnp.moveaxis(jnp.tensordot(matrix, image, (1, axis), precision="highest"), 0, axis)
    return image
