"""Images of sizes that are drawn at random, in arrays of fixed sizes.

A compiled step has arrays of fixed sizes. An image whose size is drawn lies in the top left of such an array,
and its size is a traced number. What is around it is never read: the functions repeat or mirror the image's
edge.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

MODES = ("area", "bilinear", "bicubic")
"""The ways of resizing, as PyTorch's `interpolate` has them: without antialiasing."""

_CUBIC = -0.75  # the parameter of PyTorch's cubic kernel


@struct.dataclass
class Framed:
    """An image in the top left of an array.

    Attributes:
      pixels: ``[H, W, C]``.
      height: the image's own, up to H.
      width: the image's own, up to W.
    """

    pixels: jax.Array
    height: jax.Array
    width: jax.Array


def frame(image: jax.Array | np.ndarray) -> Framed:
    """Returns an image that fills its array."""
    height, width = image.shape[:2]
    return Framed(pixels=jnp.asarray(image), height=jnp.int32(height), width=jnp.int32(width))


def extend(image: Framed, height: int, width: int) -> jax.Array:
    """Returns the image in an array ``[height, width, C]``, all around it its last rows and columns."""
    rows = jnp.clip(jnp.arange(height), 0, image.height - 1)
    columns = jnp.clip(jnp.arange(width), 0, image.width - 1)
    return image.pixels[rows][:, columns]


def blur(image: Framed, kernel: jax.Array) -> Framed:
    """Correlates the image, mirrored at its edges, with an odd `kernel` ``[k, k]``."""
    from scipy import fft

    side = kernel.shape[0]
    height, width, _ = image.pixels.shape
    # A Fourier transform is fast if its length has small factors alone.
    shape = tuple(fft.next_fast_len(length + side - 1, real=True) for length in (height, width))
    rows = _mirror(jnp.arange(shape[0]) - side // 2, image.height)
    columns = _mirror(jnp.arange(shape[1]) - side // 2, image.width)
    padded = image.pixels[rows][:, columns]
    spectrum = jnp.fft.rfft2(padded, axes=(0, 1))
    # A correlation is a convolution with the flipped kernel.
    spectrum *= jnp.fft.rfft2(kernel[::-1, ::-1], shape)[..., None]
    blurred = jnp.fft.irfft2(spectrum, shape, axes=(0, 1))
    pixels = blurred[side - 1 :, side - 1 :][:height, :width]
    return image.replace(pixels=pixels)  # type: ignore[attr-defined]


def resize(
    image: Framed,
    size: tuple[jax.Array, jax.Array],
    shape: tuple[int, int],
    mode: jax.Array,
    factor: jax.Array | None = None,
) -> Framed:
    """Resizes an image as PyTorch's `interpolate` does.

    Args:
      image: the image.
      size: the height and width that it gets.
      shape: the height and width of the array that it gets.
      mode: the index in `MODES`.
      factor: the scale factor from which `size` was rounded down, if it was; the distance of samples then is
        its inverse and not the ratio of the sizes.
    """
    pixels = image.pixels
    for axis, (before, after, length) in enumerate(
        zip((image.height, image.width), size, shape, strict=True)
    ):
        step = before / after if factor is None else 1 / factor
        weights = _weigh(before, after, step, (length, pixels.shape[axis]), mode)
        pixels = jnp.moveaxis(jnp.tensordot(weights, pixels, (1, axis)), 0, axis)
    return Framed(pixels=pixels, height=size[0], width=size[1])


def _mirror(index: jax.Array, length: jax.Array) -> jax.Array:
    """Returns the places in an image of `length` that places beyond its edge stand for."""
    period = jnp.maximum(2 * (length - 1), 1)
    place = jnp.mod(index, period)
    return jnp.minimum(place, period - place)


def _weigh(
    before: jax.Array, after: jax.Array, step: jax.Array, shape: tuple[int, int], mode: jax.Array
) -> jax.Array:
    """Returns the matrix ``[out, in]`` that resizes one axis; rows beyond `after` are zeros."""
    out, place = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None]
    centre = (out + 0.5) * step - 0.5

    def put(index: jax.Array, weight: jax.Array) -> jax.Array:
        return jnp.where(place == jnp.clip(index, 0, before - 1), weight, 0.0)

    start, end = out * before // after, -(-(out + 1) * before // after)
    area = jnp.where((place >= start) & (place < end), 1 / (end - start), 0.0)
    inside = jnp.maximum(centre, 0)
    first = jnp.floor(inside)
    bilinear = put(first, 1 - (inside - first)) + put(first + 1, inside - first)
    first = jnp.floor(centre)
    part = centre - first
    bicubic = sum(put(first + i, _cubic(jnp.abs(part - i))) for i in (-1, 0, 1, 2))
    weights = jnp.select([mode == 0, mode == 1], [area, bilinear], bicubic)
    return jnp.where(out < after, weights, 0.0)


def _cubic(distance: jax.Array) -> jax.Array:
    """Returns Keys' cubic kernel."""
    a, d = _CUBIC, distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return jnp.where(d <= 1, near, jnp.where(d < 2, far, 0.0))
