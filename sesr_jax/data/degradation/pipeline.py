"""The second-order degradation of Real-ESRGAN (Wang et al., ICCV Workshops 2021, §3)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.data.degradation.framed import MODES, Framed, blur, frame, resize
from sesr_jax.data.degradation.jpeg import compress
from sesr_jax.data.degradation.kernels import draw_kernel, draw_sinc, make_pulse, pick
from sesr_jax.data.degradation.noise import add_gaussian, add_poisson
from sesr_jax.data.degradation.options import Degradation, Range

_DEFAULT = Degradation()

_SIDE = 256
"""In pixels: photos lie in arrays whose sides are multiples of it."""


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
    return _degrade(key, frame(image), scale=scale, options=options).pixels


def degrade_photo(
    seed: int, pixels: np.ndarray, *, scale: int, options: Degradation = _DEFAULT
) -> np.ndarray:
    """Returns a degraded photo, uint8 ``[H // scale, W // scale, 3]``.

    Photos of similar sizes share a compiled function, which takes seconds to compile.

    Args:
      seed: what is drawn from.
      pixels: the photo, uint8 ``[H, W, 3]``, RGB.
      scale: the scale factor.
      options: see `degrade`.
    """
    height, width = pixels.shape[:2]
    padding = [(0, -side % _SIDE) for side in (height, width)]
    image = Framed(
        pixels=jnp.pad(pixels.astype(np.float32) / 255, (*padding, (0, 0))),
        height=jnp.int32(height),
        width=jnp.int32(width),
    )
    low = _degrade_compiled(jax.random.key(seed), image, scale=scale, options=options).pixels
    codes = np.rint(255 * np.asarray(low[: height // scale, : width // scale]))
    return codes.astype(np.uint8)


def _degrade(key: jax.Array, image: Framed, *, scale: int, options: Degradation) -> Framed:
    keys = jax.random.split(key, 6)
    u = iter(jax.random.uniform(keys[0], (26,)))
    height, width = image.height, image.width
    rows, columns = image.pixels.shape[:2]
    first, second = _read_order(options, ""), _read_order(options, "2")

    now = blur(image, _draw_kernel(keys[1], first))
    factor = _draw_factor(u, first.resize_prob, first.resize_range)
    now = resize(
        now,
        (_floor(height * factor), _floor(width * factor)),
        (_grow(rows, first.resize_range), _grow(columns, first.resize_range)),
        _draw_mode(u),
        factor,
    )
    now = _add_noise(u, keys[2], now, first)
    now = compress(now, _draw(u, first.jpeg_range))

    kernel = _draw_kernel(keys[3], second)
    now = blur(now, jnp.where(next(u) < options.second_blur_prob, kernel, make_pulse()))
    factor = _draw_factor(u, second.resize_prob, second.resize_range)
    now = resize(
        now,
        (_floor(height / scale * factor), _floor(width / scale * factor)),
        (_grow(rows / scale, second.resize_range), _grow(columns / scale, second.resize_range)),
        _draw_mode(u),
    )
    now = _add_noise(u, keys[4], now, second)
    quality = _draw(u, second.jpeg_range)
    last = next(u) < 0.5  # whether the compression comes last
    now = _choose(last, now, compress(now, quality))
    final = height // scale, width // scale
    now = resize(now, final, (rows // scale, columns // scale), _draw_mode(u))
    now = blur(now, draw_sinc(keys[5], options.final_sinc_prob))
    now = _choose(last, compress(now, quality), now)
    return now.replace(pixels=jnp.round(255 * jnp.clip(now.pixels, 0, 1)) / 255)  # type: ignore[attr-defined]


_degrade_compiled = jax.jit(_degrade, static_argnames=("scale", "options"))


class _Order(NamedTuple):
    """The options of one order, by their names without the 2; see `Degradation`."""

    kernel_prob: Sequence[float]
    sinc_prob: float
    blur_sigma: Range
    betag_range: Range
    betap_range: Range
    resize_prob: Sequence[float]
    resize_range: Range
    gaussian_noise_prob: float
    noise_range: Range
    poisson_scale_range: Range
    gray_noise_prob: float
    jpeg_range: Range


def _read_order(options: Degradation, suffix: str) -> _Order:
    return _Order(*(getattr(options, f"{name}{suffix}") for name in _Order._fields))


def _draw_kernel(key: jax.Array, order: _Order) -> jax.Array:
    return draw_kernel(
        key,
        kinds=jnp.array(order.kernel_prob),
        sinc=order.sinc_prob,
        sigma=order.blur_sigma,
        generalised=order.betag_range,
        plateau=order.betap_range,
    )


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


def _add_noise(u: Iterator[jax.Array], key: jax.Array, image: Framed, order: _Order) -> Framed:
    """Adds noise of a random kind and strength."""
    grey = next(u) < order.gray_noise_prob
    sigma, scale = _draw(u, order.noise_range), _draw(u, order.poisson_scale_range)
    gaussian = next(u) < order.gaussian_noise_prob
    # One of the two is kept, so that both may look at the same numbers.
    return _choose(
        gaussian, add_gaussian(key, image, sigma, grey), add_poisson(key, image, scale, grey)
    )
