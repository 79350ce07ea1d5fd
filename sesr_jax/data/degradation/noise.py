"""Gaussian and Poisson noise, grey or coloured."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.data.degradation.framed import Framed

_GREY = (0.2989, 0.5870, 0.1140)

_COUNTS = 512
"""The counts that are tabulated; 256 expected ones have a deviation of 16."""

_STEPS = tuple(_COUNTS >> i for i in range(1, _COUNTS.bit_length()))
"""The steps of a binary search among them: 256, 128, … 1."""


def add_gaussian(key: jax.Array, image: Framed, sigma: jax.Array, grey: jax.Array) -> Framed:
    """Adds Gaussian noise and clips.

    Args:
      key: random.
      image: RGB in [0, 1].
      sigma: the deviation in codes of 255.
      grey: whether the noise is the same in all channels.
    """
    numbers = _draw_numbers(key, image.pixels.shape, grey)
    return _add(image, jax.scipy.special.ndtri(numbers) * sigma / 255)


def add_poisson(key: jax.Array, image: Framed, scale: jax.Array, grey: jax.Array) -> Framed:
    """Adds Poisson noise and clips.

    The image, rounded to codes, is taken as a multiple of the expected counts, with as many counts for white
    as the power of two above the number of codes that it has.

    Args:
      key: random.
      image: RGB in [0, 1].
      scale: what the noise is multiplied by.
      grey: whether the noise is that of the grey image, the same in all channels.
    """
    pixels = jnp.clip(image.pixels, 0, 1)
    luma = jnp.broadcast_to((pixels @ jnp.array(_GREY))[..., None], pixels.shape)
    codes = jnp.round(255 * jnp.where(grey, luma, pixels))
    height, width = pixels.shape[:2]
    inside = (jnp.arange(height) < image.height)[:, None] & (jnp.arange(width) < image.width)
    # Codes beyond the image fall out of the histogram.
    places = jnp.where(inside[..., None], codes, 256).astype(jnp.int32)
    count = jnp.zeros(256).at[places].set(1.0, mode="drop").sum()
    white = 2 ** jnp.ceil(jnp.log2(count))
    numbers = _draw_numbers(key, pixels.shape, grey)
    counts = find_counts(numbers, codes.astype(jnp.int32), white)
    return _add(image, scale * (counts / white - codes / 255))


def find_counts(numbers: jax.Array, codes: jax.Array, white: jax.Array | float) -> jax.Array:
    """Returns the quantiles of Poisson distributions with a mean of 0 for the code 0 and `white` for 255.

    The few distributions that there are have been tabulated. `jax.random.poisson` takes 20 times as long,
    since it rejects draws until every pixel has one.

    Args:
      numbers: the probabilities of the quantiles, in (0, 1). Uniform random ones make Poisson draws.
      codes: integers from 0 to 255, of the shape of `numbers`.
      white: 1, 2, 4, … or 256.
    """
    below = jnp.asarray(_tabulate_counts())
    exponent = jnp.round(jnp.log2(white)).astype(jnp.int32)
    start = (256 * exponent + codes) * _COUNTS
    count = jnp.zeros_like(codes)
    for step in _STEPS:
        known = below.at[start + count + step - 1].get(mode="promise_in_bounds")
        count += jnp.where(known <= numbers, step, 0)
    return count.astype(numbers.dtype)


@functools.cache
def _tabulate_counts() -> np.ndarray:
    """Returns the probabilities of at most 0, 1, … counts, for each `white` and each code, as one line."""
    from scipy import special

    mean = 2.0 ** np.arange(9)[:, None, None] * np.arange(256)[:, None] / 255
    return special.pdtr(np.arange(_COUNTS), mean).astype(np.float32).ravel()


def _draw_numbers(key: jax.Array, shape: tuple[int, ...], grey: jax.Array) -> jax.Array:
    """Returns uniform numbers in (0, 1), the same in all channels if `grey`."""
    numbers = jax.random.uniform(key, shape, minval=2.0**-24)
    # Without the barrier, XLA would draw the first channel's again for each of the others.
    numbers = jax.lax.optimization_barrier(numbers)
    return jnp.where(grey, numbers[..., :1], numbers)


def _add(image: Framed, noise: jax.Array) -> Framed:
    return image.replace(pixels=jnp.clip(image.pixels + noise, 0, 1))  # type: ignore[attr-defined]
