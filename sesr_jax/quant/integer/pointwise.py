"""Operations on each code: sums, products, quotients, activations and tables."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax import ops
from sesr_jax.graph import Node
from sesr_jax.quant.fixed_point import (
    doubling_high_product,
    exp_of_negative,
    multiplier,
    multiply,
    reciprocal,
    rounding_shift,
)
from sesr_jax.quant.integer.tensor import HIGH, LOW, Affine, Kernel, Tensor, as_tensor, rescale
from sesr_jax.quant.weight_codes import round_to_codes, symmetric_scale


def add_signed(sign: int) -> Kernel:
    """Returns the kernel of x + sign · y."""

    def kernel(_: Node, to: Affine, *args: Tensor | np.ndarray) -> jax.Array:
        x, y = map(as_tensor, args)
        bits = 20  # below the point, where the roundings of the operands do no harm
        common = 2 * max(x.affine.double, y.affine.double)
        left, right = (
            multiply(z.offset << bits, multiplier(z.affine.double / common)) for z in (x, y)
        )
        return rescale(left + sign * right, common / (2**bits * to.double), to)

    return kernel


def mul(_: Node, to: Affine, *args: Tensor | np.ndarray) -> jax.Array:
    """Multiplies codes, with one factor for all products."""
    x, y = map(as_tensor, args)
    return rescale(x.offset * y.offset, x.affine.stored * y.affine.stored / to.stored, to)


def div(_: Node, to: Affine, *args: Tensor | np.ndarray) -> jax.Array:
    """Multiplies the dividend's code, shifted up within 32 bits, by the reciprocal of the divisor's."""
    x, y = map(as_tensor, args)
    sign, divisor = jnp.sign(y.offset), jnp.abs(y.offset)
    dividend = sign * x.offset
    room = lax.clz(jnp.where(dividend < 0, ~dividend, dividend)) - 1
    significand, exponent = reciprocal(jnp.maximum(divisor, 1))
    factor = multiplier(x.affine.stored / (y.affine.stored * to.stored))
    product = doubling_high_product(dividend << room, significand)
    shift = room + exponent - factor.shift
    product = doubling_high_product(product, factor.significand)
    # What is shifted out altogether is 0 here; in LiteRT's C++ it is undefined.
    quotient = rounding_shift(product, jnp.clip(shift, 0, 31))
    return jnp.where(shift > 31, 0, quotient) + to.zero_point


def softmax(_: Node, to: Affine, x: Tensor) -> jax.Array:
    """Multiplies exponentials of distances from a pixel's largest code by their sum's reciprocal."""
    bits = 26  # below the point of what is raised to a power
    factor = multiplier(x.affine.double * 2**bits)
    lowest = -((31 << bits) >> max(int(factor.shift), 0))  # below it nothing is left of the power
    below = x.offset - x.offset.max(axis=-1, keepdims=True)
    powers = exp_of_negative(multiply(jnp.maximum(below, lowest), factor))
    powers = jnp.where(below >= lowest, powers, 0)
    total = jnp.sum(rounding_shift(powers, 12), axis=-1, keepdims=True)
    significand, exponent = reciprocal(total)
    shares = doubling_high_product(powers, significand)
    # The sum has 12 bits above the point, where its parts have none; the shares must have 8 below it.
    return rounding_shift(shares, exponent - (31 - 12) + (31 - 8)) + to.zero_point


def unbias(node: Node, to: Affine, x: Tensor, like: Tensor) -> jax.Array:
    """Multiplies by the constant that the file holds."""
    factor = np.float32(ops.bessel_factor(like.codes.shape, node.attrs["axes"]))
    return mul(node, to, x, np.asarray(factor))


def relu(_: Node, to: Affine, x: Tensor) -> jax.Array:
    """Rescales codes; the caller applies the lower limit."""
    return rescale(x.offset, x.affine.stored / to.stored, to)


def prelu(_: Node, to: Affine, x: Tensor, slope: np.ndarray) -> jax.Array:
    """Rescales codes, with one factor for values below 0 and one for others."""
    slopes = Affine(scale=symmetric_scale(slope))
    products = x.offset * round_to_codes(slope / slopes.scale)
    return jnp.where(
        x.offset >= 0,
        rescale(x.offset, x.affine.stored / to.stored, to),
        rescale(products, x.affine.stored * slopes.stored / to.stored, to),
    )


def leaky_relu(node: Node, to: Affine, x: Tensor) -> jax.Array:
    """Rescales codes, with one factor for values below 0 and one for others."""
    slope = np.float32(node.attrs["slope"])
    falling = multiply(x.offset, multiplier(x.affine.stored * abs(slope) / to.stored))
    return jnp.where(
        x.offset >= 0,
        rescale(x.offset, x.affine.stored / to.stored, to),
        (falling if slope >= 0 else -falling) + to.zero_point,
    )


_NAMED_CLIPS = {(-1, 1), (0, 1), (0, 6)}
"""The clips with an operator of their own, which rounds before it adds the zero point; others round after."""


def clip(node: Node, to: Affine, x: Tensor) -> jax.Array:
    """Limits codes; the operand has the scale of the output."""
    ends = np.array([node.attrs["low"], node.attrs["high"]], np.float32)
    if tuple(ends) in _NAMED_CLIPS:
        low, high = round_to_codes(ends / to.stored, 2 * LOW, 2 * HIGH) + to.zero_point
    else:
        low, high = round_to_codes(ends / np.float64(to.scale) + to.zero_point)
    return jnp.clip(x.codes.astype(jnp.int32), low, high)


def look_up(
    function: Callable[[np.ndarray], np.ndarray],
    whole: Callable[[np.ndarray], np.ndarray] = lambda x: round_to_codes(x, -(2**30), 2**30),
) -> Kernel:
    """Returns the kernel that finds each code in a table of `function`'s results, rounded by `whole`."""

    def kernel(_: Node, to: Affine, x: Tensor) -> jax.Array:
        offsets = np.arange(LOW, HIGH + 1, dtype=np.int32) - x.affine.zero_point
        results = function(x.affine.stored * offsets.astype(np.float32)).astype(np.float32)
        steps = whole(np.asarray(results * (np.float32(1) / to.stored), np.float64))
        table = jnp.asarray(np.clip(steps + to.zero_point, LOW, HIGH).astype(np.int32))
        return table[x.codes.astype(jnp.int32) - LOW]

    return kernel


def logistic(x: np.ndarray) -> np.ndarray:
    """Returns the logistic function of `x`, float32."""
    # exp(x) overflows float32 above 88; the code is the lowest long before.
    powers = np.exp(-np.maximum(np.float64(x), -80)).astype(np.float32)
    return np.float32(1) / (np.float32(1) + powers)
