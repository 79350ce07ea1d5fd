"""Operations that move, select or interpolate codes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax import ops
from sesr_jax.graph import Node
from sesr_jax.quant.fixed_point import rounding_shift
from sesr_jax.quant.integer.tensor import HIGH, LOW, Affine, Tensor, rescale


def move(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """Runs the operation itself, on codes."""
    return ops.OPS[node.op](x.codes, **node.attrs)


def concat(_: Node, to: Affine, *xs: Tensor) -> jax.Array:
    """Brings operands with a range of their own to the common one, and joins them."""

    def to_common(x: Tensor) -> jax.Array:
        if x.affine == to:
            return x.codes
        factor = x.affine.double / to.double
        return jnp.clip(rescale(x.offset, factor, to), LOW, HIGH).astype(jnp.int8)

    return ops.concat(*map(to_common, xs))


def pad(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """Runs the operation itself, on codes, whose zero is the zero point."""
    zero = {"constant_values": x.affine.zero_point} if node.attrs["mode"] == "constant" else {}
    amounts = ((0, 0), *node.attrs["padding"], (0, 0))
    return jnp.pad(x.codes, amounts, node.attrs["mode"], **zero)


def resize(node: Node, to: Affine, x: Tensor) -> jax.Array:
    """Runs the operation itself, or its bilinear form on codes."""
    if node.attrs["method"] == "nearest":
        return move(node, to, x)
    height, width = (size * node.attrs["scale"] for size in x.codes.shape[1:3])
    return _interpolate(x.codes, (height, width))


def resize_like(node: Node, _: Affine, x: Tensor, like: Tensor) -> jax.Array:
    """Resizes as LiteRT does, which computes the nearest pixel's place in float32."""
    sides = like.codes.shape[1:3]
    if node.attrs["method"] == "bilinear":
        return _interpolate(x.codes, sides)
    y = x.codes
    for axis, side in enumerate(sides, 1):
        # Float32 may miss the nearest pixel where a place lies between two.
        step = np.float32(y.shape[axis]) / np.float32(side)
        nearest = np.floor((np.arange(side, dtype=np.float32) + np.float32(0.5)) * step)
        y = jnp.take(y, np.minimum(nearest.astype(np.int32), y.shape[axis] - 1), axis)
    return y


def _interpolate(codes: Any, sides: Sequence[int]) -> jax.Array:
    """Returns the codes of a map that is bilinearly resized to the height and width `sides`."""
    bits = 10
    y = codes.astype(jnp.int32)
    for axis, side in enumerate(sides, 1):
        size = codes.shape[axis]
        step = ((size << bits) + side // 2) // side
        position = np.arange(side, dtype=np.int32) * step + step // 2 - (1 << (bits - 1))
        first = np.maximum(position >> bits, 0)
        second = np.minimum(-(-position >> bits), size - 1)
        weight = np.expand_dims(position - (first << bits), axis=tuple({0, 1, 2, 3} - {axis}))
        y = jnp.take(y, first, axis) * ((1 << bits) - weight) + jnp.take(y, second, axis) * weight
    return rounding_shift(y, 2 * bits)
