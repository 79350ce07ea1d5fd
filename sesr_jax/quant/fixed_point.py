"""Fixed-point multiplication: how integer hardware scales an int32 sum by a real number.

A positive factor is written as a significand of 31 bits and a power of two (Jacob et al., CVPR 2018,
§2.2). The product is rounded twice, as gemmlowp and TFLite's reference kernels do: once to the upper
half of 64 bits, ties upwards, and once by the power of two, ties away from zero. The result can
differ from one rounding of the exact product.

    y = multiply(sums, multiplier(input_scale * weight_scales / output_scale))

No value on the device has more than 32 bits, so that jax's x64 flag does not matter.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Multiplier:
    """The numbers ``significand · 2^(shift - 31)``.

    Attributes:
      significand: int32, below 2³¹; `multiplier` makes it 0, or at least 2³⁰.
      shift: int32, at least -31.
    """

    significand: Any
    shift: Any


def multiplier(factor: npt.ArrayLike) -> Multiplier:
    """Returns the `Multiplier` nearest to `factor`, which must not be negative; below about 2⁻³² it is 0."""
    fraction, shift = np.frexp(np.asarray(factor, np.float64))
    significand = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carried = significand == 2**31
    significand, shift = np.where(carried, 2**30, significand), shift + carried
    vanished = shift < -31
    return Multiplier(
        significand=np.where(vanished, 0, significand).astype(np.int32),
        shift=np.where(vanished, 0, shift).astype(np.int32),
    )


@jax.jit
def multiply(x: jax.Array, by: Multiplier) -> jax.Array:
    """Multiplies int32 `x` by `by`, which is broadcast, and rounds twice.

    Where the factor exceeds 1, `x` is shifted left first and wraps around beyond 32 bits.
    """
    shifted = x << jnp.maximum(by.shift, 0)
    return rounding_shift(doubling_high_product(shifted, by.significand), jnp.maximum(-by.shift, 0))


def doubling_high_product(x: jax.Array, significand: Any) -> jax.Array:
    """Returns ``x · significand / 2³¹``, rounded to the nearest integer, ties upwards.

    Args:
      x: int32.
      significand: int32; one of the two is above -2³¹.
    """
    m = jnp.asarray(significand)
    # Both are split into halves of 16 bits: x = 2¹⁶·x₁ + x₀. Only x₁ has a sign.
    (x1, x0), (m1, m0) = ((value >> 16, value & 0xFFFF) for value in (x, m))
    lowest = (x0.astype(jnp.uint32) * m0.astype(jnp.uint32)) >> 16
    # Neither of these two overflows; their sum could.
    middle, other = x1 * m0 + lowest.astype(jnp.int32), x0 * m1
    fraction = (middle & 0xFFFF) + (other & 0xFFFF)  # from bit 16
    upper = x1 * m1 + (middle >> 16) + (other >> 16) + (fraction >> 16)  # from bit 32
    return 2 * upper + ((fraction >> 15) & 1) + ((fraction >> 14) & 1)


def exp_of_negative(x: jax.Array) -> jax.Array:
    """Returns exp(x) with 31 bits below the point, for `x` in [-32, 0] with 26 such bits (gemmlowp).

    A Taylor series about -1/8 gives the power of the part in [-1/4, 0), and the rest is a sum of powers
    of two, by whose exponentials it is multiplied.
    """
    bits = 26
    quarter = 1 << (bits - 2)
    part = (x & (quarter - 1)) - quarter
    y = (part << 5) + (1 << 28)
    square = doubling_high_product(y, y)
    cube, fourth = doubling_high_product(square, y), doubling_high_product(square, square)
    thirds = doubling_high_product(rounding_shift(fourth, 2) + cube, np.int32(715827883))
    series = y + rounding_shift(thirds + square, 1)
    result = _EXP_OF_EIGHTH + doubling_high_product(series, np.int32(_EXP_OF_EIGHTH))
    rest = part - x
    for exponent, power in enumerate(_EXP_OF_POWERS, start=-2):
        product = doubling_high_product(result, np.int32(power))
        result = jnp.where(rest & (1 << (bits + exponent)), product, result)
    return jnp.where(x == 0, _ONE, result)


_ONE = np.int32(2**31 - 1)
"""1 with 31 bits below the point, as near as it comes."""

_EXP_OF_EIGHTH = 1895147668
"""exp(-1/8) with 31 bits below the point."""

_EXP_OF_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
"""exp(-1/4), exp(-1/2), exp(-1), … exp(-16), with 31 bits below the point."""


def reciprocal(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns 1 / x for int32 `x` above 0, as a significand of 31 bits and an exponent (gemmlowp).

    The two stand for ``significand · 2^-(31 + exponent)``. Three steps of Newton and Raphson's method find
    the reciprocal of `x` brought to [1, 2).
    """
    zeros = lax.clz(x)
    fraction = (x << zeros) ^ jnp.int32(
        -(2**31)
    )  # without its first bit, which is the 1 before the point
    # Half of 1 + fraction; the sum of a number and of 1 - 2^-31 may overflow before it is halved.
    half = (fraction >> 1) + (1 << 30)
    y = 1515870810 + doubling_high_product(half, np.int32(-1010580540))  # 48/17 - 32/17 · half
    for _ in range(3):
        error = (1 << 29) - doubling_high_product(half, y)
        y = y + (doubling_high_product(y, error) << 2)
    return jnp.where(y < 1 << 30, y << 1, _ONE), 31 - zeros


def rounding_shift(x: jax.Array, exponent: Any) -> jax.Array:
    """Returns ``x / 2^exponent``, rounded to the nearest integer, ties away from zero.

    Args:
      x: int32.
      exponent: int32, 0 to 31.
    """
    mask = (jnp.int32(1) << jnp.asarray(exponent)) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)
