"""Operations that reduce the codes of a window, or of a whole image, to one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax.graph import Node
from sesr_jax.quant.fixed_point import Multiplier, multiplier, multiply
from sesr_jax.quant.integer.tensor import LOW, Affine, Tensor


def max_pool(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """Runs the operation itself, on codes."""
    window, strides = (1, *node.attrs["window"], 1), (1, *node.attrs["strides"], 1)
    lowest = np.int8(LOW)
    return lax.reduce_window(x.codes, lowest, lax.max, window, strides, node.attrs["padding"])


def average_pool(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """Averages codes, rounded with ties away from zero."""

    def add(codes: jax.Array) -> jax.Array:
        window, strides = (1, *node.attrs["window"], 1), (1, *node.attrs["strides"], 1)
        return lax.reduce_window(
            codes, np.int32(0), lax.add, window, strides, node.attrs["padding"]
        )

    sums = add(x.codes.astype(jnp.int32))
    counts = add(jnp.ones((1, *x.codes.shape[1:3], 1), jnp.int32))
    return jnp.sign(sums) * ((jnp.abs(sums) + counts // 2) // counts)


def mean(node: Node, to: Affine, x: Tensor) -> jax.Array:
    """Sums codes; the factor's significand does the division."""
    axes = tuple(node.attrs["axes"])
    count = math.prod(x.codes.shape[axis] for axis in axes)
    of_sum = multiplier(x.affine.double / to.double)
    # 1 / count has as many bits as the significand can give up.
    bits = min(count.bit_length() - 1, 32, 31 + int(of_sum.shift))
    by = Multiplier(
        significand=np.int32((int(of_sum.significand) << bits) // count),
        shift=np.int32(of_sum.shift - bits),
    )
    return (
        multiply(jnp.sum(x.offset, axis=axes, keepdims=True, dtype=jnp.int32), by) + to.zero_point
    )
