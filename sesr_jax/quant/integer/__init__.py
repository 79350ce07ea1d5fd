"""The integer reference: a Graph in the very arithmetic of its INT8 file, code for code.

    codes = run(graph, ranges, quantise(x, IMAGE))                  # int8 to int8
    y = dequantise(codes, IMAGE)                                    # float, in steps of 1/255
    fast = jax.jit(functools.partial(run, graph, ranges))

A tensor is int8 codes with a scale S and a zero point Z; they stand for ``S · (code - Z)`` (Jacob et al.,
CVPR 2018, eq. 1). Sums of products of codes are exact in int32, in the product of the operands' scales. One
multiplication by ``S₁·S₂ / S₃`` in fixed point, the offset Z₃ and a saturation give the codes of the result
(eqs. 4 and 7). Every operation is of that kind, or moves codes, or looks them up:

- conv2d, conv2d_transpose: weights symmetric in ±127, with one scale per output channel; biases int32, of
  the scale ``S_input · S_weight``. A bias beyond half of int32 coarsens its channel's weights.
- add, sub: both operands are raised by 20 bits and brought to twice the larger scale, their sum or difference
  to the output's.
- mul, prelu, leaky_relu, relu: a factor for each branch. After a sum, a ReLU is no more than a lower limit.
- div: the dividend times the divisor's reciprocal. softmax: exponentials in fixed point times a reciprocal.
- sigmoid, tanh, exp, sqrt: a table of 256 codes. average_pool: the rounded mean of codes.
- mean: the sum of codes, with the division in the factor's significand.
- resize: bilinear weights have 10 bits for each axis. concat: operands with a range of their own are brought
  to the common one. All other operations copy or select codes.

The codes are those of LiteRT's *reference* kernels for what `export.to_tflite` writes; the tests compare the
two bit by bit, and `python -m benchmarks.kernels` shows how far other kernels are from them. `fixed_point`
tells how kernels round. Scales, zero points and the codes of parameters are those of TensorFlow's converter:
computed in float64, ties away from zero, and scales stored as float32.

Limits: full INT8 (where a file's pixels are uint8, these codes plus 128). Parameters and ranges must be
concrete; only codes may be traced. Integer convolutions are XLA's, which its CPU backend has. The converter
drops an operation that changes nothing (adding 0, multiplying by 1) together with its range, and merges two
that are equal; here each is computed for itself.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError
from sesr_jax.graph import Graph
from sesr_jax.quant.integer import convolutions, moving, pointwise, pooling
from sesr_jax.quant.integer.tensor import HIGH, LOW, Affine, Kernel, Tensor
from sesr_jax.quant.ranges import Range, Ranges, find_points, validate

KERNELS: dict[str, Kernel] = {
    "add": pointwise.add_signed(1),
    "average_pool": pooling.average_pool,
    "channel_shuffle": moving.move,
    "clip": pointwise.clip,
    "concat": moving.concat,
    "conv2d": convolutions.conv2d,
    "conv2d_transpose": convolutions.conv2d_transpose,
    "depth_to_space": moving.move,
    "div": pointwise.div,
    "exp": pointwise.look_up(lambda x: np.exp(np.float64(x))),
    "leaky_relu": pointwise.leaky_relu,
    "max_pool": pooling.max_pool,
    "mean": pooling.mean,
    "mul": pointwise.mul,
    "pad": moving.pad,
    "prelu": pointwise.prelu,
    "relu": pointwise.relu,
    "resize": moving.resize,
    "resize_like": moving.resize_like,
    "sigmoid": pointwise.look_up(pointwise.logistic),
    "slice": moving.move,
    "softmax": pointwise.softmax,
    "space_to_depth": moving.move,
    "sqrt": pointwise.look_up(lambda x: np.sqrt(np.maximum(x, 0)), whole=np.trunc),
    "sub": pointwise.add_signed(-1),
    "tanh": pointwise.look_up(lambda x: np.tanh(np.float64(x))),
    "unbias": pointwise.unbias,
}
"""By operation, the kernel that computes it on codes."""


def run(
    graph: Graph,
    ranges: Ranges,
    codes: npt.ArrayLike,
    tap: Callable[[str, jax.Array], jax.Array] = lambda _, y: y,
) -> jax.Array:
    """Computes the output's int8 codes from the input's.

    Args:
      graph: the network, with concrete parameters.
      ranges: the range of each group of tensors, as for `export.to_tflite`.
      codes: int8 ``[N, H, W, C]``, of any size that the operations take.
      tap: called as ``tap(name, codes)`` for the input and each tensor that has codes, which are those of
        `find_points(graph).group`; what it returns stands in the codes' place.

    Raises:
      InputError: `ranges` do not suit the graph, `codes` are not int8 ``[N, H, W, C]``, or an operation has
        no integer form here.
    """
    validate(graph, ranges)
    for node in graph.nodes:
        if node.op not in KERNELS:
            raise InputError(
                f"{node.name!r} is a {node.op!r}, which has no integer form here; "
                f"use one of {', '.join(sorted(KERNELS))}."
            )
    codes = jnp.asarray(codes)
    if codes.dtype != jnp.int8 or codes.ndim != 4 or codes.shape[-1] != graph.input_shape[-1]:
        raise InputError(
            f"the input is {codes.dtype} of shape {codes.shape}: the network takes int8 codes "
            f"[N, H, W, {graph.input_shape[-1]}]; quantise an image."
        )
    places = find_points(graph)
    affines = {name: Affine.of(*ranges[key]) for name, key in places.group.items()}
    values = {graph.input: tap(graph.input, codes)}

    def to_operand(arg: Any) -> Any:
        return (
            Tensor(codes=values[arg], affine=affines[arg])
            if isinstance(arg, str)
            else np.array(arg)
        )

    for node in graph.nodes:
        if node.name in places.absorbed:
            values[node.name] = tap(node.name, values[node.inputs[0]])
        elif node.name in affines:  # The ReLU that reads a tensor without codes writes it.
            to = affines[node.name]
            fused = node.op == "relu" and node.inputs[0] not in affines
            writer = graph[node.inputs[0]] if fused else node
            y = KERNELS[writer.op](writer, to, *map(to_operand, writer.args))
            lowest = to.zero_point if node.op == "relu" else LOW
            values[node.name] = tap(node.name, jnp.clip(y, lowest, HIGH).astype(jnp.int8))
    return values[graph.output]


def quantise(x: npt.ArrayLike, limits: Range) -> jax.Array:
    """Returns the int8 codes nearest to `x` for the range `limits`, saturated."""
    to = Affine.of(*limits)
    codes = jnp.round(jnp.asarray(x, jnp.float32) / to.stored) + to.zero_point
    return jnp.clip(codes, LOW, HIGH).astype(jnp.int8)


def dequantise(codes: npt.ArrayLike, limits: Range) -> jax.Array:
    """Returns what int8 codes stand for where the range is `limits`, float32."""
    of = Affine.of(*limits)
    return (jnp.asarray(codes, jnp.float32) - of.zero_point) * of.stored
