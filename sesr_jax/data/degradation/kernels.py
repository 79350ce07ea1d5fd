"""Blur kernels: Gaussian, generalised Gaussian, plateau and sinc, all with sides up to `SIDE`."""

import math

import jax
import jax.numpy as jnp

from sesr_jax.data.degradation.options import Range

SIDE = 21
"""The side of the array of a kernel; a smaller kernel lies in its middle."""


def make_gaussian(
    side: jax.Array | float,
    sigma: tuple[jax.Array | float, jax.Array | float],
    rotation: jax.Array | float = 0.0,
    beta: jax.Array | float = 1.0,
    *,
    plateau: jax.Array | bool = False,
) -> jax.Array:
    """Returns a kernel ``[21, 21]`` whose sum is 1, of the squared Mahalanobis distance q from its middle.

    Args:
      side: the side outside of which it is 0, odd.
      sigma: the deviations along its two axes, in pixels.
      rotation: of the first axis from the rows, in radians.
      beta: the shape b of a generalised Gaussian exp(-q^b / 2) (Pascal et al. 2013), which is 1 for a
        Gaussian, or of a plateau 1 / (1 + q^b).
      plateau: whether it is a plateau.
    """
    y, x = _place()
    cos, sin = jnp.cos(rotation), jnp.sin(rotation)
    along, across = (cos * x + sin * y) / sigma[0], (cos * y - sin * x) / sigma[1]
    # The power of 0 has no gradient, and a distance beyond all taps would overflow.
    power = jnp.clip(along**2 + across**2, 1e-12, 1e12) ** beta
    kernel = jnp.where(plateau, 1 / (1 + power), jnp.exp(-power / 2))
    return _normalise(kernel, side)


def make_sinc(side: jax.Array | float, cutoff: jax.Array | float) -> jax.Array:
    """Returns the low-pass filter ``[21, 21]`` of a circle of radius `cutoff` (up to π), whose sum is 1."""
    y, x = _place()
    radius = jnp.sqrt(x**2 + y**2)
    away = jnp.maximum(radius, 1)
    kernel = cutoff * _bessel(cutoff * away) / (2 * math.pi * away)
    return _normalise(jnp.where(radius == 0, cutoff**2 / (4 * math.pi), kernel), side)


def make_pulse() -> jax.Array:
    """Returns the kernel ``[21, 21]`` that changes nothing."""
    return jnp.zeros((SIDE, SIDE)).at[SIDE // 2, SIDE // 2].set(1.0)


def draw_kernel(
    key: jax.Array,
    *,
    kinds: jax.Array,
    sinc: float,
    sigma: Range,
    generalised: Range,
    plateau: Range,
) -> jax.Array:
    """Draws a kernel ``[21, 21]``, with a side from 7 to 21.

    Args:
      key: random.
      kinds: the probabilities of `options.KERNELS`.
      sinc: the probability of a sinc kernel in their place.
      sigma: of the deviations.
      generalised: of the shape of generalised kernels; below and above 1 are equally likely.
      plateau: of the shape of plateaus, likewise.
    """
    u = jax.random.uniform(key, (9,))
    side = _draw_side(u[0])
    kind = pick(u[1], kinds)
    first, second = sigma[0] + u[2:4] * (sigma[1] - sigma[0])
    turned = kind % 2 == 1  # anisotropic
    shape = jnp.where(kind < 4, jnp.array(generalised), jnp.array(plateau))
    below, above = shape[0] + u[5] * (1 - shape[0]), 1 + u[5] * (shape[1] - 1)
    gaussian = make_gaussian(
        side,
        (first, jnp.where(turned, second, first)),
        jnp.where(turned, math.pi * (2 * u[6] - 1), 0.0),
        jnp.where(kind < 2, 1.0, jnp.where(u[4] < 0.5, below, above)),
        plateau=kind >= 4,
    )
    lowest = jnp.where(side < 13, math.pi / 3, math.pi / 5)
    cutoff = lowest + u[7] * (math.pi - lowest)
    return jnp.where(u[8] < sinc, make_sinc(side, cutoff), gaussian)


def draw_sinc(key: jax.Array, probability: float) -> jax.Array:
    """Draws a sinc kernel ``[21, 21]`` with this probability, and else the pulse."""
    u = jax.random.uniform(key, (3,))
    cutoff = math.pi / 3 + u[1] * (math.pi - math.pi / 3)
    return jnp.where(u[2] < probability, make_sinc(_draw_side(u[0]), cutoff), make_pulse())


def pick(number: jax.Array, probabilities: jax.Array) -> jax.Array:
    """Returns the index that a uniform number in [0, 1) means, where each has such a probability."""
    ends = jnp.cumsum(probabilities) / jnp.sum(probabilities)
    return jnp.sum(number >= ends[:-1])


def _draw_side(number: jax.Array) -> jax.Array:
    """Returns one of the sides 7, 9, … 21."""
    return 7 + 2 * jnp.floor(8 * number)


def _place() -> tuple[jax.Array, jax.Array]:
    """Returns the row and the column of each tap, from the middle."""
    line = jnp.arange(SIDE) - SIDE // 2
    return line[:, None], line[None]


def _normalise(kernel: jax.Array, side: jax.Array | float) -> jax.Array:
    y, x = _place()
    kernel = jnp.where(jnp.maximum(jnp.abs(y), jnp.abs(x)) <= (side - 1) / 2, kernel, 0.0)
    return kernel / kernel.sum()


_SMALL = (
    (72362614232.0, -7895059235.0, 242396853.1, -2972611.439, 15704.48260, -30.16036606),
    (144725228442.0, 2300535178.0, 18583304.74, 99447.43394, 376.9991397, 1.0),
)
_LARGE = (
    (1.0, 0.183105e-2, -0.3516396496e-4, 0.2457520174e-5, -0.240337019e-6),
    (0.04687499995, -0.2002690873e-3, 0.8449199096e-5, -0.88228987e-6, 0.105787412e-6),
)


def _bessel(x: jax.Array) -> jax.Array:
    """Returns the Bessel function J₁ of positive numbers, by Hart's rational approximations (1968)."""
    small, large = jnp.minimum(x, 8.0), jnp.maximum(x, 8.0)
    below = small * _evaluate(_SMALL[0], small**2) / _evaluate(_SMALL[1], small**2)
    z, angle = 8 / large, large - 2.356194491
    beyond = jnp.cos(angle) * _evaluate(_LARGE[0], z**2)
    beyond -= z * jnp.sin(angle) * _evaluate(_LARGE[1], z**2)
    return jnp.where(x < 8, below, jnp.sqrt(0.636619772 / large) * beyond)


def _evaluate(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    return jnp.polyval(jnp.array(coefficients[::-1]), x)
