"""What a Graph costs: parameters, multiply-accumulates, activations, receptive field.

MACs count as the papers do: a convolution's kernel taps times its output positions, no bias. A
transposed convolution is counted at its output pixels too, which is what published FSRCNN figures do
and what an array that multiplies the inserted zeros executes.
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.graph.graph import Graph, Node
from sesr_jax.ops import SPECS

_POINTWISE = {"add", "mul", "concat", "relu", "prelu", "leaky_relu", "clip", "sigmoid"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Totals over a graph.

    Attributes:
      weights: elements of convolution kernels: the "parameters" of most papers.
      parameters: all trained arrays, biases and PReLU slopes included.
      macs: multiply-accumulates of the convolutions.
      activations: elements of the convolutions' outputs (AIM 2020's "#Activations").
      peak_elements: the most tensor elements alive at once when nodes run in order.
    """

    weights: int
    parameters: int
    macs: int
    activations: int
    peak_elements: int


def macs(node: Node) -> int:
    """Multiply-accumulates of one node."""
    if SPECS[node.op].kind != "convolution":
        return 0
    kh, kw, in_features, _ = node.parameters[0].shape
    return kh * kw * in_features * math.prod(node.shape)


def cost(graph: Graph) -> Cost:
    """The totals of `graph` at the input size with which it was traced."""
    convs = [node for node in graph.nodes if macs(node)]
    return Cost(
        weights=sum(node.parameters[0].size for node in convs),
        parameters=sum(p.size for node in graph.nodes for p in node.parameters if p.ndim),
        macs=sum(map(macs, convs)),
        activations=sum(math.prod(node.shape) for node in convs),
        peak_elements=_peak(graph),
    )


def _peak(graph: Graph) -> int:
    """A tensor lives from the node that makes it to the last that reads it."""
    sizes = {name: math.prod(shape) for name, shape in graph.shapes.items()}
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    last[graph.output] = len(graph.nodes)
    alive, peak = {graph.input}, 0
    for i, node in enumerate(graph.nodes):
        alive.add(node.name)
        peak = max(peak, sum(sizes[name] for name in alive))
        alive = {name for name in alive if last.get(name, -1) > i}
    return peak


def receptive_radius(graph: Graph) -> int:
    """How many input pixels on each side of its own an output pixel can depend on (the tile's halo).

    Raises:
      InputError: an operation looks at the whole image, so that no tile equals the whole.
    """
    # Radii are in input pixels; `step` is the distance between neighbouring positions of a tensor.
    radius: dict[str, float] = {graph.input: 0.0}
    step: dict[str, float] = {graph.input: 1.0}
    for node in graph.nodes:
        source = max(node.inputs, key=lambda name: radius[name])
        reach, factor = _reach(node)
        radius[node.name] = radius[source] + reach * step[source]
        step[node.name] = step[source] * factor
    return math.ceil(radius[graph.output])


def alignment(graph: Graph) -> int:
    """The multiple at which windows must start so that strides and blocks fall as in the whole image.

    `graph` must be traced at a size that its strides and blocks divide.
    """
    height = graph.input_shape[1]
    return math.lcm(*(Fraction(height, shape[1]).numerator for shape in graph.shapes.values()))


def window_reach(side: int, stride: int, before: int | None = None) -> int:
    """How far a window reads from the pixels that its output stands for, in steps of its input, on an axis.

    Args:
      side: of the window.
      stride: its own; the output stands for so many pixels.
      before: how many pixels are padded before the image; None for "SAME" at a size that the stride divides.
    """
    if before is None:
        before = max(side - stride, 0) // 2
    return max(side - 1 - before, before + stride - 1)


def _window_reach(window: Sequence[int], strides: Sequence[int], padding: Any) -> int:
    befores: Sequence[int | None] = (None, None)
    if padding == "VALID":
        befores = (0, 0)
    elif padding != "SAME":
        befores = [before for before, _ in padding]
    return max(map(window_reach, window, strides, befores))


def _reach(node: Node) -> tuple[float, float]:
    """The node's own reach in steps of its input, and the factor by which it changes the step."""
    attrs = node.attrs
    if node.op in _POINTWISE:
        return 0, 1
    if node.op in ("conv2d", "max_pool"):
        window = node.parameters[0].shape[:2] if node.op == "conv2d" else attrs["window"]
        return _window_reach(window, attrs["strides"], attrs["padding"]), max(attrs["strides"])
    if node.op == "conv2d_transpose":
        kh, kw = node.parameters[0].shape[:2]
        stride = max(attrs["strides"])
        return math.ceil(max(kh, kw) / 2 / stride), 1 / stride
    if node.op == "depth_to_space":
        return 0, 1 / attrs["block"]
    if node.op == "space_to_depth":
        return attrs["block"] - 1, attrs["block"]
    if node.op == "resize":
        return (0 if attrs["method"] == "nearest" else 1), 1 / attrs["scale"]
    raise InputError(
        f"{node.name!r} ({node.op}) sees the whole image, so that tiles cannot equal it; "
        "run this network without tiles."
    )
