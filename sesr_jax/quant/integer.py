"""The integer reference: a Graph in the very arithmetic of its INT8 file, code for code.

    codes = run(graph, ranges, quantise(x, (0.0, 1.0)))     # int8 [N, H, W, C] to int8
    fast = jax.jit(functools.partial(run, graph, ranges))

A tensor is int8 codes with a scale S and a zero point Z that stand for ``S · (code - Z)`` (Jacob et al.,
CVPR 2018, eq. 1). A sum of products of codes is exact in int32. What it stands for has the product of the
operands' scales, so one multiplication by ``S₁·S₂ / S₃`` in fixed point, an offset by Z₃ and a saturation give
the codes of the result (eqs. 4 and 7). Every operation is of that kind, or moves codes, or looks them up:

- conv2d, conv2d_transpose: weights symmetric in ±127 with a scale for each output channel; biases are int32
  codes of ``S_input · S_weight``. A bias beyond half of int32 coarsens its channel's weights.
- add: both operands are raised by 20 bits and brought to twice the larger scale, then their sum to the output's.
- mul, prelu, leaky_relu, relu: one factor for each branch. A ReLU behind a sum bounds its codes from below.
- mean: the sum of the codes; the number of summands is divided into the significand.
- resize: bilinear weights have 10 bits for each axis. sigmoid: a table of 256 codes.
- concat: operands with a range of their own are brought to the common one. The rest copies or selects codes.

The codes are those of LiteRT's *reference* kernels on what `export.to_tflite` writes; the tests hold one
against the other, bit for bit. Where the rounding comes from is told in `fixed_point`; scales, zero points and
the codes of parameters are derived as TensorFlow's converter does: in float64, ties away from zero, stored as
float32. Other kernel sets round otherwise: `python -m benchmarks.kernels` says by how much.

Limits: full INT8; parameters and ranges must be concrete, so that only the codes may be traced. Convolutions
are XLA's on int32, which its CPU backend has.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, Node
from sesr_jax.quant.fixed_point import Multiplier, multiplier, multiply, rounding_shift
from sesr_jax.quant.ranges import Range, Ranges, points, validate

_LOW, _HIGH = -128, 127

_NARROWEST = 1e-6
"""The converter widens narrower ranges to this."""

_LARGEST_BIAS = 2**30 - 1
"""Of its int32 codes: the converter leaves the other half to the sum."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Affine:
    """What codes stand for: ``scale · (code - zero_point)``.

    Attributes:
      scale: float64, one or one for each output channel: with it the converter quantises parameters.
      zero_point: itself a code.
    """

    scale: Any
    zero_point: int = 0

    @property
    def stored(self) -> Any:
        """The scale as a file holds it, float32: with it a runtime derives its multipliers."""
        return np.float32(self.scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """Codes, traced or of the host, and what they stand for."""

    codes: Any
    affine: Affine

    @property
    def offset(self) -> jax.Array:
        """The codes as int32, with the zero point at 0."""
        return jnp.asarray(self.codes, jnp.int32) - self.affine.zero_point


def run(
    graph: Graph,
    ranges: Ranges,
    codes: npt.ArrayLike,
    tap: Callable[[str, jax.Array], jax.Array] = lambda _, y: y,
) -> jax.Array:
    """The output's int8 codes for the input's.

    Args:
      graph: the network, with concrete parameters.
      ranges: by group of tensors, as `calibrate` or training gives them.
      codes: int8 ``[N, H, W, C]``, of any size that the operations take.
      tap: called as ``tap(name, codes)`` for the input and each tensor that the file holds, which are those of
        `points(graph).group`; what it returns stands in the codes' place.

    Raises:
      InputError: `ranges` do not suit the graph, the codes are not int8 ``[N, H, W, C]``, or an operation has
        no integer form.
    """
    validate(graph, ranges)
    codes = jnp.asarray(codes)
    if codes.dtype != jnp.int8 or codes.ndim != 4 or codes.shape[-1] != graph.input_shape[-1]:
        raise InputError(
            f"the input is {codes.dtype} of shape {codes.shape}: the network takes int8 codes [N, H, W, "
            f"{graph.input_shape[-1]}]; quantise the image first."
        )
    places = points(graph)
    affines = {name: affine(*ranges[key]) for name, key in places.group.items()}
    values = {graph.input: tap(graph.input, codes)}
    for node in graph.nodes:
        if node.name not in affines:
            continue  # It is computed by the ReLU that reads it.
        if node.name in places.absorbed:
            values[node.name] = tap(node.name, values[node.inputs[0]])
            continue
        unclipped = node.inputs[0] not in affines
        maker = graph[node.inputs[0]] if unclipped else node
        args = [
            Tensor(codes=values[arg], affine=affines[arg])
            if isinstance(arg, str)
            else np.asarray(arg)
            for arg in maker.args
        ]
        if maker.op not in KERNELS:
            raise InputError(
                f"{maker.name!r} is a {maker.op!r}, which has no integer form here; "
                f"use one of {', '.join(sorted(KERNELS))}."
            )
        out = affines[node.name]
        y = KERNELS[maker.op](maker, out, *args)
        low = out.zero_point if node.op == "relu" else _LOW
        values[node.name] = tap(node.name, jnp.clip(y, low, _HIGH).astype(jnp.int8))
    return values[graph.output]


def quantise(x: npt.ArrayLike, limits: Range) -> jax.Array:
    """The nearest int8 codes of values, saturated to the range `limits`."""
    to = affine(*limits)
    codes = jnp.round(jnp.asarray(x, jnp.float32) / to.stored) + to.zero_point
    return jnp.clip(codes, _LOW, _HIGH).astype(jnp.int8)


def dequantise(codes: npt.ArrayLike, limits: Range) -> jax.Array:
    """What int8 codes of the range `limits` stand for, float32."""
    of = affine(*limits)
    return (jnp.asarray(codes, jnp.float32) - of.zero_point) * of.stored


def affine(low: float, high: float) -> Affine:
    """The codes of a tensor with the range [low, high]."""
    low, high = _wide(np.float32(low), np.float32(high))
    scale = (high - low) / 255
    return Affine(scale=scale, zero_point=math.floor(-low / scale + 0.5) + _LOW)


def _wide(low: Any, high: Any) -> tuple[Any, Any]:
    """The range in float64, no narrower than the converter has it."""
    low, high = np.float64(low), np.float64(high)
    half = _NARROWEST / 2
    narrow = high - low <= _NARROWEST
    return np.where(narrow, np.minimum(low, -half), low), np.where(
        narrow, np.maximum(high, half), high
    )


def _nearest(x: Any) -> np.ndarray:
    """The nearest integers, ties away from zero."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def _constant(values: np.ndarray) -> Tensor:
    """The operand of an element-wise operation: the range of its values and 0."""
    low, high = _wide(min(values.min(), 0), max(values.max(), 0))
    scale = (high - low) / 255
    # Of the two ends, the one with the smaller numbers decides; they differ by a rounding of float64.
    from_low, from_high = _LOW - low / scale, _HIGH - high / scale
    exact = from_low if -_LOW - low / scale < _HIGH + high / scale else from_high
    zero_point = int(_nearest(exact))
    codes = np.clip(_nearest(values / scale + zero_point), _LOW, _HIGH)
    return Tensor(codes=codes, affine=Affine(scale=scale, zero_point=zero_point))


def _symmetric(largest: Any) -> Any:
    """The scale of codes in ±127 for values up to `largest`."""
    return _wide(-largest, largest)[1] / _HIGH


def _weights(
    kernel: np.ndarray, bias: np.ndarray | None, input_scale: float
) -> tuple[Tensor, np.ndarray]:
    """The weights' codes with a scale for each output channel, and the biases' int32 codes."""
    bias = np.zeros(kernel.shape[-1]) if bias is None else np.float64(bias)
    scale = _symmetric(np.abs(kernel).max(axis=(0, 1, 2)))
    too_large = np.abs(bias) / (input_scale * scale) > _LARGEST_BIAS
    scale = np.where(too_large, np.abs(bias) / _LARGEST_BIAS / input_scale, scale)
    codes = np.clip(_nearest(kernel / scale), -_HIGH, _HIGH)
    biases = _nearest(bias / (input_scale * scale))
    return Tensor(codes=codes, affine=Affine(scale=scale)), biases.astype(np.int32)


def _rescaled(y: jax.Array, factor: Any, out: Affine) -> jax.Array:
    """Codes of `out` for sums of the scale ``factor · out.scale``."""
    return multiply(y, multiplier(factor)) + out.zero_point


def _convolve(
    x: Tensor, kernel: np.ndarray, bias: np.ndarray | None, out: Affine, **attrs: Any
) -> jax.Array:
    weights, biases = _weights(kernel, bias, x.affine.scale)
    sums = lax.conv_general_dilated(
        x.offset, weights.offset, dimension_numbers=("NHWC", "HWIO", "NHWC"), **attrs
    )
    scales = np.float64(x.affine.stored) * np.float64(weights.affine.stored)
    return _rescaled(sums + biases, scales / np.float64(out.stored), out)


def _conv2d(
    node: Node, out: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None = None
) -> jax.Array:
    attrs = node.attrs
    return _convolve(
        x,
        kernel,
        bias,
        out,
        window_strides=attrs["strides"],
        padding=attrs["padding"],
        feature_group_count=attrs["groups"],
    )


def _conv2d_transpose(
    node: Node, out: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None = None
) -> jax.Array:
    """A convolution of the map with zeros inserted, padded to `strides` times its size."""
    padding = []
    for size, stride in zip(kernel.shape[:2], node.attrs["strides"], strict=True):
        before = size - 1 - max(size - stride, 0) // 2
        padding.append((before, size + stride - 2 - before))
    return _convolve(
        x,
        kernel,
        bias,
        out,
        window_strides=(1, 1),
        padding=padding,
        lhs_dilation=node.attrs["strides"],
    )


def _operand(arg: Tensor | np.ndarray) -> Tensor:
    return arg if isinstance(arg, Tensor) else _constant(arg)


def _add(_: Node, out: Affine, *args: Tensor | np.ndarray) -> jax.Array:
    x, y = map(_operand, args)
    # Headroom for two roundings: the first is then far below a code.
    bits = 20
    common = 2 * np.float64(max(x.affine.stored, y.affine.stored))
    total = sum(
        multiply(arg.offset << bits, multiplier(arg.affine.stored / common)) for arg in (x, y)
    )
    return _rescaled(total, common / (2**bits * np.float64(out.stored)), out)


def _mul(_: Node, out: Affine, *args: Tensor | np.ndarray) -> jax.Array:
    x, y = map(_operand, args)
    return _rescaled(x.offset * y.offset, x.affine.stored * y.affine.stored / out.stored, out)


def _relu(_: Node, out: Affine, x: Tensor) -> jax.Array:
    return _rescaled(x.offset, x.affine.stored / out.stored, out)


def _prelu(_: Node, out: Affine, x: Tensor, slope: np.ndarray) -> jax.Array:
    scale = _symmetric(np.abs(slope).max())
    codes = _nearest(slope / scale).astype(np.int32)
    slopes = np.float32(scale)
    return jnp.where(
        x.offset >= 0,
        _rescaled(x.offset, x.affine.stored / out.stored, out),
        _rescaled(x.offset * codes, x.affine.stored * slopes / out.stored, out),
    )


def _leaky_relu(node: Node, out: Affine, x: Tensor) -> jax.Array:
    slope = np.float32(node.attrs["slope"])
    magnitude = multiply(x.offset, multiplier(x.affine.stored * abs(slope) / out.stored))
    return jnp.where(
        x.offset >= 0,
        _rescaled(x.offset, x.affine.stored / out.stored, out),
        (magnitude if slope >= 0 else -magnitude) + out.zero_point,
    )


def _clip(node: Node, out: Affine, x: Tensor) -> jax.Array:
    low, high = (
        np.clip(_nearest(node.attrs[end] / out.scale + out.zero_point), _LOW, _HIGH)
        for end in ("low", "high")
    )
    return jnp.clip(x.codes, int(low), int(high))


def _sigmoid(_: Node, out: Affine, x: Tensor) -> jax.Array:
    values = x.affine.stored * np.float32(np.arange(_LOW, _HIGH + 1) - x.affine.zero_point)
    # Float32 has no larger power than that of 88; the code is the lowest long before.
    powers = np.exp(-np.maximum(np.float64(values), -80)).astype(np.float32)
    table = _nearest(np.float32(1) / (np.float32(1) + powers) / out.stored) + out.zero_point
    return jnp.asarray(table, jnp.int32)[x.codes.astype(jnp.int32) - _LOW]


def _concat(_: Node, out: Affine, *xs: Tensor) -> jax.Array:
    def common(x: Tensor) -> jax.Array:
        if x.affine == out:
            return x.codes
        factor = np.float64(x.affine.stored) / np.float64(out.stored)
        return jnp.clip(_rescaled(x.offset, factor, out), _LOW, _HIGH).astype(jnp.int8)

    return ops.concat(*map(common, xs))


def _moved(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """The op itself, on codes."""
    return ops.OPS[node.op](x.codes, **node.attrs)


def _resize(node: Node, out: Affine, x: Tensor) -> jax.Array:
    if node.attrs["method"] == "nearest":
        return _moved(node, out, x)
    bits = 10
    scale = node.attrs["scale"]
    y = x.codes.astype(jnp.int32)
    for axis in (1, 2):
        size = x.codes.shape[axis]
        step = ((size << bits) + size * scale // 2) // (size * scale)
        position = np.arange(size * scale) * step + step // 2 - (1 << (bits - 1))
        first = np.maximum(position >> bits, 0)
        second = np.minimum(-(-position >> bits), size - 1)
        weight = np.expand_dims(position - (first << bits), axis=tuple({0, 1, 2, 3} - {axis}))
        y = jnp.take(y, first, axis) * ((1 << bits) - weight) + jnp.take(y, second, axis) * weight
    return rounding_shift(y, 2 * bits)


def _max_pool(node: Node, _: Affine, x: Tensor) -> jax.Array:
    window, strides = (1, *node.attrs["window"], 1), (1, *node.attrs["strides"], 1)
    lowest = np.int8(_LOW)
    return lax.reduce_window(x.codes, lowest, lax.max, window, strides, node.attrs["padding"])


def _mean(node: Node, out: Affine, x: Tensor) -> jax.Array:
    axes = tuple(node.attrs["axes"])
    count = math.prod(x.codes.shape[axis] for axis in axes)
    of_sum = multiplier(np.float64(x.affine.stored) / np.float64(out.stored))
    # 1 / count has as many bits as the significand can give up.
    bits = min(count.bit_length() - 1, 32, 31 + int(of_sum.shift))
    by = Multiplier(
        significand=np.int32((int(of_sum.significand) << bits) // count),
        shift=np.int32(of_sum.shift - bits),
    )
    return multiply(jnp.sum(x.offset, axis=axes, keepdims=True), by) + out.zero_point


Kernel: TypeAlias = Callable[..., jax.Array]

KERNELS: dict[str, Kernel] = {
    "add": _add,
    "clip": _clip,
    "concat": _concat,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": _moved,
    "leaky_relu": _leaky_relu,
    "max_pool": _max_pool,
    "mean": _mean,
    "mul": _mul,
    "prelu": _prelu,
    "relu": _relu,
    "resize": _resize,
    "sigmoid": _sigmoid,
    "slice": _moved,
    "space_to_depth": _moved,
}
"""By op: the node, what its output's codes stand for, and its operands (a `Tensor`, or an array for a
parameter) to the output's codes before saturation."""
