"""The second-order degradation of Real-ESRGAN (Wang et al., ICCV Workshops 2021, §3)."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.data.degradation.framed import MODES, Framed, blur, frame, resize
from sesr_jax.data.degradation.jpeg import compress
from sesr_jax.data.degradation.kernels import draw_kernel, draw_sinc, make_pulse, pick
from sesr_jax.data.degradation.noise import add_gaussian, add_poisson
from sesr_jax.data.degradation.options import Degradation, Range

_DEFAULT = Degradation()


def degrade(
    key: jax.Array,
    image: jax.Array | np.ndarray,
    *,
    scale: int,
    options: Degradation = _DEFAULT,
) -> jax.Array:
    """Returns a degraded image of a low resolution, rounded to codes of 255.

    Args:
      key: random; equal keys give equal images, whatever is computed beside them.
      image: ``[H, W, 3]``, RGB in [0, 1].
      scale: the scale factor.
      options: what is drawn from.

    Returns:
      ``[H // scale, W // scale, 3]``.
    """
    keys = jax.random.split(key, 6)
    u = iter(jax.random.uniform(keys[0], (26,)))
    height, width = image.shape[:2]
    small = (height // scale, width // scale)
    o = options

    kernel = draw_kernel(
        keys[1],
        kinds=jnp.array(o.kernel_prob),
        sinc=o.sinc_prob,
        sigma=o.blur_sigma,
        generalised=o.betag_range,
        plateau=o.betap_range,
    )
    factor = _draw_factor(u, o.resize_prob, o.resize_range)
    now = resize(
        blur(frame(image), kernel),
        (_floor(height * factor), _floor(width * factor)),
        (_grow(height, o.resize_range), _grow(width, o.resize_range)),
        _draw_mode(u),
        factor,
    )
    grey = next(u) < o.gray_noise_prob
    sigma, noisy = _draw(u, o.noise_range), _draw(u, o.poisson_scale_range)
    gaussian = next(u) < o.gaussian_noise_prob
    now = _add_noise(keys[2], now, gaussian, sigma, noisy, grey)
    now = compress(now, _draw(u, o.jpeg_range))

    kernel = draw_kernel(
        keys[3],
        kinds=jnp.array(o.kernel_prob2),
        sinc=o.sinc_prob2,
        sigma=o.blur_sigma2,
        generalised=o.betag_range2,
        plateau=o.betap_range2,
    )
    now = blur(now, jnp.where(next(u) < o.second_blur_prob, kernel, make_pulse()))
    factor = _draw_factor(u, o.resize_prob2, o.resize_range2)
    now = resize(
        now,
        (_floor(height / scale * factor), _floor(width / scale * factor)),
        (_grow(height / scale, o.resize_range2), _grow(width / scale, o.resize_range2)),
        _draw_mode(u),
    )
    grey = next(u) < o.gray_noise_prob2
    sigma, noisy = _draw(u, o.noise_range2), _draw(u, o.poisson_scale_range2)
    gaussian = next(u) < o.gaussian_noise_prob2
    now = _add_noise(keys[4], now, gaussian, sigma, noisy, grey)
    quality = _draw(u, o.jpeg_range2)
    last = next(u) < 0.5  # whether the compression comes last
    now = _choose(last, now, compress(now, quality))
    final = (jnp.int32(small[0]), jnp.int32(small[1]))
    now = resize(now, final, small, _draw_mode(u))
    now = blur(now, draw_sinc(keys[5], o.final_sinc_prob))
    now = _choose(last, compress(now, quality), now)
    return jnp.round(255 * jnp.clip(now.pixels, 0, 1)) / 255


def _draw(u: Iterator[jax.Array], limits: Range) -> jax.Array:
    return limits[0] + next(u) * (limits[1] - limits[0])


def _draw_mode(u: Iterator[jax.Array]) -> jax.Array:
    return jnp.floor(len(MODES) * next(u))


def _draw_factor(
    u: Iterator[jax.Array], probabilities: Sequence[float], limits: Range
) -> jax.Array:
    """Draws a scale factor: above 1, below 1, or 1."""
    kind = pick(next(u), jnp.array(probabilities))
    up, down = _draw(u, (1.0, limits[1])), _draw(u, (limits[0], 1.0))
    return jnp.select([kind == 0, kind == 1], [up, down], 1.0)


def _floor(size: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.floor(size).astype(jnp.int32), 1)


def _grow(size: float, limits: Range) -> int:
    """Returns a side that holds `size` times the largest factor."""
    return int(size * limits[1]) + 1


def _choose(first: jax.Array, one: Framed, other: Framed) -> Framed:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def _add_noise(
    key: jax.Array,
    image: Framed,
    gaussian: jax.Array,
    sigma: jax.Array,
    scale: jax.Array,
    grey: jax.Array,
) -> Framed:
    one, other = jax.random.split(key)
    return _choose(
        gaussian, add_gaussian(one, image, sigma, grey), add_poisson(other, image, scale, grey)
    )
