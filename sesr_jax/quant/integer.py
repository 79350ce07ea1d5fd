"""The integer reference: a Graph in the very arithmetic of its INT8 file, code for code.

    codes = run(graph, ranges, quantise(x, IMAGE))                  # int8 to int8
    y = dequantise(codes, IMAGE)                                    # float, in steps of 1/255
    fast = jax.jit(functools.partial(run, graph, ranges))

A tensor is int8 codes with a scale S and a zero point Z; they stand for ``S · (code - Z)`` (Jacob et al.,
CVPR 2018, eq. 1). Sums of products of codes are exact in int32, in the product of the operands' scales. One
multiplication by ``S₁·S₂ / S₃`` in fixed point, the offset Z₃ and a saturation give the codes of the result
(eqs. 4 and 7). Every operation is of that kind, or moves codes, or looks them up:

- conv2d, conv2d_transpose: weights symmetric in ±127, with a scale for each output channel; biases int32, of
  the scale ``S_input · S_weight``. A bias beyond half of int32 coarsens its channel's weights.
- add: both operands are raised by 20 bits and brought to twice the larger scale, their sum to the output's.
- mul, prelu, leaky_relu, relu: a factor for each branch. After a sum, a ReLU is no more than a lower limit.
- mean: the sum of codes, with the division in the factor's significand. sigmoid: a table of 256 codes.
- resize: bilinear weights have 10 bits for each axis. concat: operands with a range of their own are brought
  to the common one. What is left copies or selects codes.

The codes are those of LiteRT's *reference* kernels for what `export.to_tflite` writes; the tests compare the
two bit by bit, and `python -m benchmarks.kernels` shows how far other kernels are from them. `fixed_point`
tells how kernels round. Scales, zero points and the codes of parameters are those of TensorFlow's converter:
computed in float64, ties away from zero, and scales stored as float32.

Limits: full INT8 (where a file's pixels are uint8, these codes plus 128). Parameters and ranges must be
concrete; only codes may be traced. Integer convolutions are XLA's, which its CPU backend has. The converter
drops an operation that changes nothing (adding 0, multiplying by 1) together with its range, and merges two
that are equal; here each is computed for itself.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, Node
from sesr_jax.quant.fixed_point import (
    Multiplier,
    doubling_high_product,
    exp_of_negative,
    multiplier,
    multiply,
    reciprocal,
    rounding_shift,
)
from sesr_jax.quant.ranges import Range, Ranges, points, validate
from sesr_jax.quant.scheme import exact_affine, widen

_LOW, _HIGH = -128, 127

_LARGEST_BIAS = 2**30 - 1
"""The converter leaves the other half of int32 to the sum."""


Kernel: TypeAlias = Callable[..., jax.Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Affine:
    """What codes stand for: ``scale · (code - zero_point)``.

    Attributes:
      scale: float64, one or one for each output channel: from it the converter computes codes.
      zero_point: itself a code.
    """

    scale: Any
    zero_point: int = 0

    @classmethod
    def of(cls, low: float, high: float) -> Self:
        """For a tensor with the range [low, high]."""
        scale, zero_point = exact_affine(low, high)
        return cls(scale=scale, zero_point=zero_point)

    @property
    def stored(self) -> Any:
        """The scale as a file holds it, float32: from it a runtime computes its factors."""
        return np.float32(self.scale)

    @property
    def double(self) -> Any:
        """The stored scale for the kernels that compute their factors in float64."""
        return np.float64(self.stored)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """Codes, on the device or of a parameter, and what they stand for."""

    codes: Any
    affine: Affine

    @property
    def offset(self) -> jax.Array:
        """The codes as int32, counted from the zero point."""
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
      ranges: by group of tensors, as for `export.to_tflite`.
      codes: int8 ``[N, H, W, C]``, of any size that the operations take.
      tap: called as ``tap(name, codes)`` for the input and each tensor that has codes, which are those of
        `points(graph).group`; what it returns stands in the codes' place.

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
    places = points(graph)
    affines = {name: Affine.of(*ranges[key]) for name, key in places.group.items()}
    values = {graph.input: tap(graph.input, codes)}

    def operand(arg: Any) -> Any:
        return (
            Tensor(codes=values[arg], affine=affines[arg])
            if isinstance(arg, str)
            else np.array(arg)
        )

    for node in graph.nodes:
        if node.name in places.absorbed:
            values[node.name] = tap(node.name, values[node.inputs[0]])
        elif node.name in affines:  # What is not is written by the ReLU that reads it.
            to = affines[node.name]
            fused = node.op == "relu" and node.inputs[0] not in affines
            writer = graph[node.inputs[0]] if fused else node
            y = KERNELS[writer.op](writer, to, *map(operand, writer.args))
            lowest = to.zero_point if node.op == "relu" else _LOW
            values[node.name] = tap(node.name, jnp.clip(y, lowest, _HIGH).astype(jnp.int8))
    return values[graph.output]


def quantise(x: npt.ArrayLike, limits: Range) -> jax.Array:
    """The nearest int8 codes for the range `limits`, saturated."""
    to = Affine.of(*limits)
    codes = jnp.round(jnp.asarray(x, jnp.float32) / to.stored) + to.zero_point
    return jnp.clip(codes, _LOW, _HIGH).astype(jnp.int8)


def dequantise(codes: npt.ArrayLike, limits: Range) -> jax.Array:
    """What int8 codes stand for where the range is `limits`, float32."""
    of = Affine.of(*limits)
    return (jnp.asarray(codes, jnp.float32) - of.zero_point) * of.stored


def _nearest(x: Any, lowest: int = _LOW, highest: int = _HIGH) -> np.ndarray:
    """The nearest int32, ties away from zero, within the limits."""
    rounded = np.copysign(np.floor(np.abs(x) + 0.5), x)
    return np.clip(rounded, lowest, highest).astype(np.int32)


def _constant(arg: Tensor | np.ndarray) -> Tensor:
    """The operand of an element-wise operation; a parameter's range is that of its values and 0."""
    if isinstance(arg, Tensor):
        return arg
    low, high = widen(min(arg.min(), 0), max(arg.max(), 0))
    scale = (high - low) / 255
    # The end with the smaller numbers decides: in float64 the two differ by a rounding.
    by_low = -_LOW - low / scale < _HIGH + high / scale
    zero_point = int(_nearest(_LOW - low / scale if by_low else _HIGH - high / scale))
    codes = _nearest(arg / scale + zero_point)
    return Tensor(codes=codes, affine=Affine(scale=scale, zero_point=zero_point))


def _symmetric(values: np.ndarray, axes: tuple[int, ...] | None = None) -> Any:
    """The scale, or one for each index along the axes that are left, of codes in ±127."""
    largest = np.abs(values).max(axis=axes)
    low, high = widen(-largest, largest)
    return (high - low) / (2 * _HIGH)


def _rescaled(sums: jax.Array, factor: Any, to: Affine) -> jax.Array:
    """The codes, not yet saturated, for `sums` of the scale ``factor · to.scale``."""
    return multiply(sums, multiplier(factor)) + to.zero_point


def _convolved(
    to: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None, **attrs: Any
) -> jax.Array:
    added = np.zeros(kernel.shape[-1]) if bias is None else bias.astype(np.float64)
    scale = _symmetric(kernel, axes=(0, 1, 2))
    too_large = np.abs(added) / (x.affine.scale * scale) > _LARGEST_BIAS
    scale = np.where(too_large, np.abs(added) / _LARGEST_BIAS / x.affine.scale, scale)
    weights = Affine(scale=scale)
    sums = lax.conv_general_dilated(
        x.offset,
        jnp.asarray(_nearest(kernel / scale, -_HIGH, _HIGH)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **attrs,
    )
    biases = _nearest(added / (x.affine.scale * scale), -_LARGEST_BIAS, _LARGEST_BIAS)
    return _rescaled(sums + biases, x.affine.double * weights.double / to.double, to)


def _conv2d(
    node: Node, to: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None = None
) -> jax.Array:
    attrs = node.attrs
    return _convolved(
        to,
        x,
        kernel,
        bias,
        window_strides=attrs["strides"],
        padding=attrs["padding"],
        feature_group_count=attrs["groups"],
        rhs_dilation=attrs["dilation"],
    )


def _conv2d_transpose(
    node: Node, to: Affine, x: Tensor, kernel: np.ndarray, bias: np.ndarray | None = None
) -> jax.Array:
    """A convolution of the map with zeros inserted, padded to the output's size."""
    strides = node.attrs["strides"]
    padding = []
    for size, stride in zip(kernel.shape[:2], strides, strict=True):
        extra = max(size - stride, 0)  # rows beyond `stride` times the input's
        before = size - 1
        after = stride - 1 + extra
        if node.attrs["padding"] == "SAME":
            before, after = before - extra // 2, after - (extra - extra // 2)
        padding.append((before, after))
    return _convolved(
        to, x, kernel, bias, window_strides=(1, 1), padding=padding, lhs_dilation=strides
    )


def _sum(sign: int) -> Kernel:
    """The kernel of x + sign · y."""

    def kernel(_: Node, to: Affine, *args: Tensor | np.ndarray) -> jax.Array:
        x, y = map(_constant, args)
        bits = 20  # below the point, where the roundings of the operands do no harm
        common = 2 * max(x.affine.double, y.affine.double)
        left, right = (
            multiply(z.offset << bits, multiplier(z.affine.double / common)) for z in (x, y)
        )
        return _rescaled(left + sign * right, common / (2**bits * to.double), to)

    return kernel


def _mul(_: Node, to: Affine, *args: Tensor | np.ndarray) -> jax.Array:
    x, y = map(_constant, args)
    return _rescaled(x.offset * y.offset, x.affine.stored * y.affine.stored / to.stored, to)


def _div(_: Node, to: Affine, *args: Tensor | np.ndarray) -> jax.Array:
    """The dividend's code, as large as 32 bits hold it, times the reciprocal of the divisor's code."""
    x, y = map(_constant, args)
    sign, divisor = jnp.sign(y.offset), jnp.abs(y.offset)
    dividend = sign * x.offset
    room = lax.clz(jnp.where(dividend < 0, ~dividend, dividend)) - 1
    significand, exponent = reciprocal(jnp.maximum(divisor, 1))
    factor = multiplier(x.affine.stored / (y.affine.stored * to.stored))
    product = doubling_high_product(dividend << room, significand)
    shift = room + exponent - factor.shift
    product = doubling_high_product(product, factor.significand)
    # What is shifted out altogether is 0 here; LiteRT's C++ does not say what it is there.
    quotient = rounding_shift(product, jnp.clip(shift, 0, 31))
    return jnp.where(shift > 31, 0, quotient) + to.zero_point


def _softmax(_: Node, to: Affine, x: Tensor) -> jax.Array:
    bits = 26  # below the point of what is raised to a power
    factor = multiplier(x.affine.double * 2**bits)
    lowest = -((31 << bits) >> max(int(factor.shift), 0))  # below it nothing is left of the power
    below = x.offset - x.offset.max(axis=-1, keepdims=True)
    powers = exp_of_negative(multiply(jnp.maximum(below, lowest), factor))
    powers = jnp.where(below >= lowest, powers, 0)
    total = jnp.sum(rounding_shift(powers, 12), axis=-1, keepdims=True)
    significand, exponent = reciprocal(total)
    shares = doubling_high_product(powers, significand)
    # The sum has 12 bits above the point, where its parts have none; the shares shall have 8 below it.
    return rounding_shift(shares, exponent - (31 - 12) + (31 - 8)) + to.zero_point


def _unbias(node: Node, to: Affine, x: Tensor, like: Tensor) -> jax.Array:
    factor = np.float32(ops.bessel_factor(like.codes.shape, node.attrs["axes"]))
    return _mul(node, to, x, np.asarray(factor))


def _relu(_: Node, to: Affine, x: Tensor) -> jax.Array:
    return _rescaled(x.offset, x.affine.stored / to.stored, to)


def _prelu(_: Node, to: Affine, x: Tensor, slope: np.ndarray) -> jax.Array:
    slopes = Affine(scale=_symmetric(slope))
    products = x.offset * _nearest(slope / slopes.scale)
    return jnp.where(
        x.offset >= 0,
        _rescaled(x.offset, x.affine.stored / to.stored, to),
        _rescaled(products, x.affine.stored * slopes.stored / to.stored, to),
    )


def _leaky_relu(node: Node, to: Affine, x: Tensor) -> jax.Array:
    slope = np.float32(node.attrs["slope"])
    falling = multiply(x.offset, multiplier(x.affine.stored * abs(slope) / to.stored))
    return jnp.where(
        x.offset >= 0,
        _rescaled(x.offset, x.affine.stored / to.stored, to),
        (falling if slope >= 0 else -falling) + to.zero_point,
    )


_NAMED_CLIPS = {(-1, 1), (0, 1), (0, 6)}
"""Those with an operator of their own, which rounds before it adds the zero point; the others do after."""


def _clip(node: Node, to: Affine, x: Tensor) -> jax.Array:
    ends = np.array([node.attrs["low"], node.attrs["high"]], np.float32)
    if tuple(ends) in _NAMED_CLIPS:
        low, high = _nearest(ends / to.stored, 2 * _LOW, 2 * _HIGH) + to.zero_point
    else:
        low, high = _nearest(ends / np.float64(to.scale) + to.zero_point)
    return jnp.clip(x.codes.astype(jnp.int32), low, high)


def _looked_up(
    function: Callable[[np.ndarray], np.ndarray],
    whole: Callable[[np.ndarray], np.ndarray] = lambda x: _nearest(x, -(2**30), 2**30),
) -> Kernel:
    """The kernel that finds each code in a table of the results of `function`, made integers by `whole`."""

    def kernel(_: Node, to: Affine, x: Tensor) -> jax.Array:
        offsets = np.arange(_LOW, _HIGH + 1, dtype=np.int32) - x.affine.zero_point
        results = function(x.affine.stored * offsets.astype(np.float32)).astype(np.float32)
        steps = whole(np.asarray(results * (np.float32(1) / to.stored), np.float64))
        table = jnp.asarray(np.clip(steps + to.zero_point, _LOW, _HIGH).astype(np.int32))
        return table[x.codes.astype(jnp.int32) - _LOW]

    return kernel


def _logistic(x: np.ndarray) -> np.ndarray:
    # Float32 ends at the power of 88; the code is the lowest long before.
    powers = np.exp(-np.maximum(np.float64(x), -80)).astype(np.float32)
    return np.float32(1) / (np.float32(1) + powers)


def _pad(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """The op itself, on codes, whose zero is the zero point."""
    zero = {"constant_values": x.affine.zero_point} if node.attrs["mode"] == "constant" else {}
    amounts = ((0, 0), *node.attrs["padding"], (0, 0))
    return jnp.pad(x.codes, amounts, node.attrs["mode"], **zero)


def _concat(_: Node, to: Affine, *xs: Tensor) -> jax.Array:
    def common(x: Tensor) -> jax.Array:
        if x.affine == to:
            return x.codes
        factor = x.affine.double / to.double
        return jnp.clip(_rescaled(x.offset, factor, to), _LOW, _HIGH).astype(jnp.int8)

    return ops.concat(*map(common, xs))


def _moved(node: Node, _: Affine, x: Tensor) -> jax.Array:
    """The op itself, on codes."""
    return ops.OPS[node.op](x.codes, **node.attrs)


def _resize(node: Node, to: Affine, x: Tensor) -> jax.Array:
    if node.attrs["method"] == "nearest":
        return _moved(node, to, x)
    height, width = (size * node.attrs["scale"] for size in x.codes.shape[1:3])
    return _interpolated(x.codes, (height, width))


def _resize_like(node: Node, _: Affine, x: Tensor, like: Tensor) -> jax.Array:
    sides = like.codes.shape[1:3]
    if node.attrs["method"] == "bilinear":
        return _interpolated(x.codes, sides)
    y = x.codes
    for axis, side in enumerate(sides, 1):
        # In float32, which may miss a pixel that lies between two.
        step = np.float32(y.shape[axis]) / np.float32(side)
        nearest = np.floor((np.arange(side, dtype=np.float32) + np.float32(0.5)) * step)
        y = jnp.take(y, np.minimum(nearest.astype(np.int32), y.shape[axis] - 1), axis)
    return y


def _interpolated(codes: Any, sides: Sequence[int]) -> jax.Array:
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


def _max_pool(node: Node, _: Affine, x: Tensor) -> jax.Array:
    window, strides = (1, *node.attrs["window"], 1), (1, *node.attrs["strides"], 1)
    lowest = np.int8(_LOW)
    return lax.reduce_window(x.codes, lowest, lax.max, window, strides, node.attrs["padding"])


def _average_pool(node: Node, _: Affine, x: Tensor) -> jax.Array:
    def add(codes: jax.Array) -> jax.Array:
        window, strides = (1, *node.attrs["window"], 1), (1, *node.attrs["strides"], 1)
        return lax.reduce_window(
            codes, np.int32(0), lax.add, window, strides, node.attrs["padding"]
        )

    sums = add(x.codes.astype(jnp.int32))
    counts = add(jnp.ones((1, *x.codes.shape[1:3], 1), jnp.int32))
    return jnp.sign(sums) * ((jnp.abs(sums) + counts // 2) // counts)


def _mean(node: Node, to: Affine, x: Tensor) -> jax.Array:
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


KERNELS: dict[str, Kernel] = {
    "add": _sum(1),
    "average_pool": _average_pool,
    "channel_shuffle": _moved,
    "clip": _clip,
    "concat": _concat,
    "conv2d": _conv2d,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": _moved,
    "div": _div,
    "exp": _looked_up(lambda x: np.exp(np.float64(x))),
    "leaky_relu": _leaky_relu,
    "max_pool": _max_pool,
    "mean": _mean,
    "mul": _mul,
    "pad": _pad,
    "prelu": _prelu,
    "relu": _relu,
    "resize": _resize,
    "resize_like": _resize_like,
    "sigmoid": _looked_up(_logistic),
    "slice": _moved,
    "softmax": _softmax,
    "space_to_depth": _moved,
    "sqrt": _looked_up(lambda x: np.sqrt(np.maximum(x, 0)), whole=np.trunc),
    "sub": _sum(-1),
    "tanh": _looked_up(lambda x: np.tanh(np.float64(x))),
    "unbias": _unbias,
}
"""By op: the node, what its output's codes stand for, and its operands (a `Tensor`, or an array for a
parameter) to the output's codes before saturation."""
