"""Gaussian and Poisson noise, grey or coloured."""

import jax
import jax.numpy as jnp

from sesr_jax.data.degradation.framed import Framed

_GREY = (0.2989, 0.5870, 0.1140)


def add_gaussian(key: jax.Array, image: Framed, sigma: jax.Array, grey: jax.Array) -> Framed:
    """Adds Gaussian noise and clips.

    Args:
      key: random.
      image: RGB in [0, 1].
      sigma: the deviation in codes of 255.
      grey: whether the noise is the same in all channels.
    """
    noise = jax.random.normal(key, image.pixels.shape)
    return _add(image, jnp.where(grey, noise[..., :1], noise) * sigma / 255)


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
    drawn = jax.random.poisson(key, white * codes / 255) / white - codes / 255
    return _add(image, scale * jnp.where(grey, drawn[..., :1], drawn))


def _add(image: Framed, noise: jax.Array) -> Framed:
    return image.replace(pixels=jnp.clip(image.pixels + noise, 0, 1))  # type: ignore[attr-defined]
