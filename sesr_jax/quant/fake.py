"""Fake quantisation: a Graph run in float on the values that its integer codes stand for.

    y = run(graph, ranges, x)                           # what the chip computes, but for its last roundings
    y = apply(module, variables, x)                     # in one call; `variables` has "ranges"

It is differentiable. Rounding passes gradients straight through (Bengio et al. 2013) and saturation stops
them, so that a weight hears nothing from a value that its tensor cannot stand for. Ranges have gradients
too: those of learned step sizes (LSQ, Esser et al. 2020, eq. 3) with an offset (LSQ+, Bhalgat et al. 2020,
eqs. 4 and 5). Traced inside a loss, the Graph's kernels are the collapsed ones, and theirs are the codes:
the gradients go on to the expanded parameters.

Bounds on the difference from integer arithmetic: biases are not rounded here, since int32 codes of the
product of two scales are finer than float32 notices; requantising rounds ties in another way.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from sesr_jax import graph as graphs
from sesr_jax import ops
from sesr_jax.graph import Arg, Graph, Node
from sesr_jax.quant.ranges import find_points, look_up_range
from sesr_jax.quant.scheme import INT8, NARROWEST, Scheme

Watch = Callable[[str, jax.Array], None]
"""Hears of each value that is about to be rounded to a range that is not fixed: the range's group and the
value."""

RANGES = "ranges"
"""The collection of a network's variables that holds its ranges: ``[2]`` by group."""


def apply(
    module: nn.Module,
    variables: Mapping[str, Any],
    x: jax.Array,
    scheme: Scheme = INT8,
    watch: Watch | None = None,
) -> jax.Array:
    """Computes ``module.apply(variables, x)``, quantised where `variables` has ranges.

    Args:
      module: a network.
      variables: its variables, expanded or collapsed, and perhaps the collection `RANGES`.
      x: ``[N, H, W, C]``.
      scheme: what is quantised.
      watch: for observers.
    """
    if RANGES not in variables:
        return module.apply(variables, x)  # type: ignore[return-value]
    weights = {key: value for key, value in variables.items() if key != RANGES}
    # Codes are taken of kernels in float32, as a file's are, whatever the type that trains them.
    graph = graphs.trace(module, weights, x.shape, jnp.promote_types(x.dtype, jnp.float32))
    return run(graph, variables[RANGES], x, scheme, watch)


def run(
    graph: Graph,
    ranges: Mapping[str, Any],
    x: jax.Array,
    scheme: Scheme = INT8,
    watch: Watch | None = None,
) -> jax.Array:
    """Computes the output of `graph` for `x`, with weights and quantisation points rounded to their codes.

    Args:
      graph: the network, its parameters perhaps tracers.
      ranges: by group, two numbers or ``[2]``; those that are fixed are not read.
      x: ``[N, H, W, C]`` in [0, 1].
      scheme: what is quantised.
      watch: for observers.

    Raises:
      InputError: a group has no range.
    """
    wanted = find_points(graph, scheme)

    def round_value(name: str, y: jax.Array) -> jax.Array:
        if name not in wanted.group:
            return y
        key = wanted.group[name]
        if key in wanted.fixed:
            return quantise(y, *wanted.fixed[key], scheme.activations)
        low, high = look_up_range(key, ranges)
        if watch:
            watch(key, y)
        return quantise(y, low, high, scheme.activations)

    rounded = with_quantised_weights(graph, scheme)
    return graphs.run(_cast_parameters(rounded, x.dtype), x, round_value)


def _cast_parameters(graph: Graph, dtype: Any) -> Graph:
    """Returns `graph` with parameters of `dtype`, which do not widen activations of 16 bits."""

    def cast(arg: Arg) -> Arg:
        return arg if isinstance(arg, str) else jnp.asarray(arg).astype(dtype)

    return graph.map_nodes(lambda node: dataclasses.replace(node, args=tuple(map(cast, node.args))))


def quantise(y: jax.Array, low: Any, high: Any, activations: str = "int8") -> jax.Array:
    """Rounds `y` to the codes of the range [low, high], which holds 0.

    Args:
      y: any shape.
      low: at most 0.
      high: at least 0. A range narrower than `scheme.widen` is widened, as a file's is.
      activations: "int8" or "int16", as in `Scheme`.
    """
    low, high = (_range_gradient(jnp.asarray(end, jnp.float32), y.size) for end in (low, high))
    narrow = high - low <= NARROWEST  # of a tensor that is 0 everywhere, behind dead ReLUs
    low = jnp.where(narrow, jnp.minimum(low, -NARROWEST / 2), low)
    high = jnp.where(narrow, jnp.maximum(high, NARROWEST / 2), high)
    if activations == "int16":
        scale = jnp.maximum(-low, high) / 32767
        smallest, largest = jnp.float32(-32768), jnp.float32(32767)
    else:
        scale = (high - low) / 255
        smallest = _round(_saturate(low / scale, -255, 0))
        largest = smallest + 255
    codes = _round(_saturate(y.astype(jnp.float32) / scale, smallest, largest))
    return (codes * scale).astype(y.dtype)


def with_quantised_weights(graph: Graph, scheme: Scheme = INT8) -> Graph:
    """Returns `graph` with its parameters rounded to their codes, as TensorFlow's converter chooses these.

    Kernels are symmetric with a scale for each output channel, from its largest tap; a PReLU's slopes are
    symmetric with one scale; what is added or multiplied has the codes of an activation. Biases stay as
    they are, and so does all but the kernels where activations are float.
    """
    return graph.map_nodes(
        lambda node: (
            node if scheme.excludes(node.name) else _round_parameters(node, scheme.activations)
        )
    )


def _round_parameters(node: Node, activations: str) -> Node:
    def round_argument(index: int, arg: Arg) -> Arg:
        if isinstance(arg, str):
            return arg
        if ops.SPECS[node.op].kind == "convolution":
            return quantise_weights(jnp.asarray(arg), axis=-1) if index == 1 else arg
        if activations == "float":
            return arg
        if node.op == "prelu":
            return quantise_weights(jnp.asarray(arg))
        return _quantise_operand(jnp.asarray(arg), activations)

    args = tuple(round_argument(index, arg) for index, arg in enumerate(node.args))
    return dataclasses.replace(node, args=args)


def _quantise_operand(values: jax.Array, activations: str) -> jax.Array:
    ends = lax.stop_gradient(values)
    low, high = jnp.minimum(ends.min(), 0), jnp.maximum(ends.max(), 0)
    return quantise(values, low, high, activations)


def quantise_weights(weights: jax.Array, axis: int | None = None) -> jax.Array:
    """Rounds `weights` to 127 codes on each side of 0, with a scale for each index of `axis`.

    The gradient passes through unchanged: nothing saturates.
    """
    others = (
        None if axis is None else tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    )
    largest = jnp.max(jnp.abs(lax.stop_gradient(weights)), axis=others, keepdims=True)
    scale = jnp.where(largest > 0, largest / 127, 1)
    return _round(weights / scale) * scale


def _round(x: jax.Array) -> jax.Array:
    """Rounds to the nearest integer, with the gradient of the identity."""
    return x + lax.stop_gradient(jnp.round(x) - x)


def _saturate(x: jax.Array, smallest: Any, largest: Any) -> jax.Array:
    """Limits `x` to [smallest, largest], whose ends count as inside.

    `jnp.clip` halves the gradient there, and every 0 behind a ReLU is at an end.
    """
    return jnp.where(x < smallest, smallest, jnp.where(x > largest, largest, x))


def _range_gradient(end: jax.Array, values: int) -> jax.Array:
    """Returns `end` with a gradient that does not grow with the number of values (LSQ, §2.2)."""
    fixed = lax.stop_gradient(end)
    return fixed + (end - fixed) / math.sqrt(255 * values)
