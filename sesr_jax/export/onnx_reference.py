"""What each layer of an ONNX file must compute, where it reads what the layers before should have written.

layers = compute_layers(graph, codes, ranges, INT8)
layers["tail/conv2d"].expected

The reference of full INT8 is `quant.integer`. It is the arithmetic of floats on what codes stand for where
layers are float, and in bilinear resizing, whose places LiteRT computes in 10 bits alone.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax import graph as graphs
from sesr_jax.graph import Arg, Graph, Node
from sesr_jax.ops import SPECS
from sesr_jax.quant import Range, Ranges, Scheme, find_points, integer
from sesr_jax.quant.integer.tensor import Affine, as_tensor
from sesr_jax.quant.ranges import IMAGE
from sesr_jax.quant.weight_codes import (
    LARGEST_CODE,
    kernel_scale,
    round_to_codes,
    symmetric_scale,
)

QUICK = {"xla_backend_optimization_level": 0}
"""The compiler's options for what runs once: compiling costs more than running."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """What a tensor holds, ``[N, H, W, C]``: int8 codes, or floats.

    Attributes:
      expected: what the file must compute of the reference's inputs.
      given: what the reference's next layers read, in the type of the file.
    """

    expected: np.ndarray
    given: np.ndarray


def find_limits(graph: Graph, ranges: Ranges | None, scheme: Scheme) -> dict[str, Range]:
    """Returns the range of each tensor of `graph` that has codes of activations."""
    group = {} if ranges is None else find_points(graph, scheme).group
    return {name: (ranges or {})[key] for name, key in group.items()}


def compute_layers(
    graph: Graph, image: np.ndarray, ranges: Ranges | None, scheme: Scheme, *, half: bool
) -> dict[str, Layer]:
    """Returns the input and all layers of `graph` by name.

    Args:
      graph: the network, of the size of `image`.
      image: int8 codes ``[N, H, W, C]``.
      ranges: as for `export.onnx.to_onnx`.
      scheme: as for `to_onnx`.
      half: as for `to_onnx`.
    """
    limits = find_limits(graph, ranges, scheme)
    exact: dict[str, np.ndarray] = {}
    if ranges is not None and not scheme.exclude:
        exact = _run_integers(graph, ranges, image)
    written = graph
    if half:
        written = graph.map_nodes(_round_to_half)
    elif not exact and (limits or scheme.activations == "float"):
        written = graph.map_nodes(functools.partial(_round_weights, limits=limits, scheme=scheme))
    bilinear = {node.name for node in graph.nodes if node.attrs.get("method") == "bilinear"}
    floats = exact
    if bilinear or not exact:
        floats = _run_floats(written, image, limits, exact, half=half)
    layers = {}
    for name, expected in floats.items():
        given = exact.get(name, expected)
        if half:
            with np.errstate(over="ignore"):  # which the proof refuses
                given = given.astype(np.float16)
        layers[name] = Layer(
            expected=expected if name in bilinear else exact.get(name, expected), given=given
        )
    return layers


def _run_integers(graph: Graph, ranges: Ranges, image: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the codes of all tensors by the integer reference."""

    def run(codes: jax.Array) -> dict[str, jax.Array]:
        kept: dict[str, jax.Array] = {}
        integer.run(graph, ranges, codes, lambda name, y: kept.setdefault(name, y))
        return kept

    return _to_numpy(jax.jit(run, compiler_options=QUICK)(image))


def _run_floats(
    graph: Graph,
    image: np.ndarray,
    limits: Mapping[str, Range],
    exact: Mapping[str, np.ndarray],
    *,
    half: bool,
) -> dict[str, np.ndarray]:
    """Returns all tensors, as codes where they have `limits`, and with those of `exact` in their place."""

    def run(image: jax.Array, exact: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        kept: dict[str, jax.Array] = {}

        def tap(name: str, y: jax.Array) -> jax.Array:
            if name in limits:
                kept[name] = integer.quantise(y, limits[name])
                return integer.dequantise(exact.get(name, kept[name]), limits[name])
            kept[name] = y
            return y.astype(jnp.float16).astype(y.dtype) if half else y

        graphs.run(graph, integer.dequantise(image, IMAGE), tap)
        return kept

    return _to_numpy(jax.jit(run, compiler_options=QUICK)(image, dict(exact)))


def _to_numpy(values: Mapping[str, jax.Array]) -> dict[str, np.ndarray]:
    return {name: np.asarray(y) for name, y in values.items()}


def _map_parameters(node: Node, change: Callable[[np.ndarray], np.ndarray]) -> Node:
    args = (
        arg if isinstance(arg, str) else jnp.asarray(change(np.asarray(arg)), jnp.float32)
        for arg in node.args
    )
    return dataclasses.replace(node, args=tuple(args))


def _round_to_half(node: Node) -> Node:
    return _map_parameters(node, lambda parameter: parameter.astype(np.float16))


def _round_weights(node: Node, limits: Mapping[str, Range], scheme: Scheme) -> Node:
    """Rounds parameters but biases to the codes of files, which break ties otherwise than `quant.fake`."""
    if not node.parameters or scheme.excludes(node.name):
        return node
    if SPECS[node.op].kind == "convolution":
        x, kernel, *bias = node.args
        rounded = _round_kernel(np.asarray(kernel), [*map(np.asarray, bias)], limits.get(str(x)))
        return dataclasses.replace(node, args=(x, rounded, *bias))
    if scheme.activations == "float":
        return node
    return _map_parameters(node, _round_slope if node.op == "prelu" else _round_operand)


def _round_kernel(kernel: np.ndarray, bias: list[np.ndarray], limits: Range | None) -> Arg:
    added, input_scale = (bias[0], Affine.of(*limits).scale) if bias and limits else (0.0, 1.0)
    scale = kernel_scale(kernel, added, input_scale)
    codes = round_to_codes(kernel / scale, -LARGEST_CODE, LARGEST_CODE)
    return jnp.asarray(codes * scale.astype(np.float32), jnp.float32)


def _round_slope(slope: np.ndarray) -> np.ndarray:
    scale = symmetric_scale(slope)
    return round_to_codes(slope / scale) * np.float32(scale)


def _round_operand(value: np.ndarray) -> np.ndarray:
    operand = as_tensor(value)
    return np.asarray(operand.offset) * operand.affine.stored
