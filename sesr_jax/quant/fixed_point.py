"""Fixed-point multiplication: how integer hardware scales an int32 sum by a real number.

A positive factor is written as a significand of 31 bits and a power of two (Jacob et al., CVPR 2018,
§2.2). The product is rounded twice, as gemmlowp and TFLite's reference kernels do: once to the upper
half of 64 bits, ties upwards, and once by the power of two, ties away from zero. The two are not one
rounding of the exact product.

    y = multiply(sums, multiplier(input_scale * weight_scales / output_scale))

Factors are numbers of the host, int32 values may be traced: there is no 64-bit arithmetic on the device, so
that jax's x64 flag does not matter.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multiplier:
    """Numbers ``significand · 2^(shift - 31)``.

    Attributes:
      significand: int32, below 2³¹; as `multiplier` makes them, 2³⁰ at least or 0.
      shift: int32, from -31.
    """

    significand: np.ndarray
    shift: np.ndarray


def multiplier(factor: npt.ArrayLike) -> Multiplier:
    """The nearest `Multiplier` to `factor`, not negative; below about 2⁻³² it is 0."""
    fraction, shift = np.frexp(np.asarray(factor, np.float64))
    significand = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    carried = significand == 2**31
    significand, shift = np.where(carried, 2**30, significand), shift + carried
    vanished = shift < -31
    return Multiplier(
        significand=np.where(vanished, 0, significand).astype(np.int32),
        shift=np.where(vanished, 0, shift).astype(np.int32),
    )


def multiply(x: jax.Array, by: Multiplier) -> jax.Array:
    """int32 `x` times `by`, rounded twice; `by` is broadcast.

    Where the factor exceeds 1, `x` is shifted left first and wraps around beyond 32 bits.
    """
    shifted = x << np.maximum(by.shift, 0)
    return rounding_shift(doubling_high_product(shifted, by.significand), np.maximum(-by.shift, 0))


def doubling_high_product(x: jax.Array, significand: np.ndarray) -> jax.Array:
    """``x · significand / 2³¹``, rounded to the nearest integer, ties upwards.

    Args:
      x: int32.
      significand: int32, not negative.
    """
    # Both are split into halves of 16 bits: x = 2¹⁶·x₁ + x₀. Only x₁ has a sign.
    x1, x0 = x >> 16, x & 0xFFFF
    m1, m0 = significand >> 16, significand & 0xFFFF
    lowest = (x0.astype(jnp.uint32) * m0.astype(jnp.uint32)) >> 16
    # Neither of the two can overflow, but their sum can.
    middle, other = x1 * m0 + lowest.astype(jnp.int32), x0 * m1
    fraction = (middle & 0xFFFF) + (other & 0xFFFF)
    upper = x1 * m1 + (middle >> 16) + (other >> 16) + (fraction >> 16)  # bits 32 and up
    return 2 * upper + ((fraction >> 15) & 1) + ((fraction >> 14) & 1)


def rounding_shift(x: jax.Array, exponent: npt.ArrayLike) -> jax.Array:
    """``x / 2^exponent``, rounded to the nearest integer, ties away from zero.

    Args:
      x: int32.
      exponent: 0 to 31.
    """
    mask = ((np.int64(1) << np.asarray(exponent, np.int64)) - 1).astype(np.int32)
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)
