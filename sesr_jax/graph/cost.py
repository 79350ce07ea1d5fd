"""What a Graph costs: parameters, multiply-accumulates, activations.

MACs count as the papers do: a convolution's kernel taps times its output positions, no bias. A transposed
convolution is counted at its output pixels too, which is what published FSRCNN figures do and what an array
that multiplies the inserted zeros executes. An array that several nodes share, as in a recursive network, is
counted once as parameters, and at every use as MACs.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from sesr_jax.graph.graph import Graph, Node, find_readers
from sesr_jax.ops import SPECS

_RECTIFIERS = ("relu", "leaky_relu", "prelu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Totals over a graph.

    Attributes:
      weights: elements of convolution kernels: the "parameters" of most papers.
      parameters: all trained arrays of any rank, biases, PReLU slopes and learned scales included; what the
        model spells out, such as a mean to subtract, is not.
      macs: multiply-accumulates of the convolutions.
      activations: elements of the convolutions' outputs (AIM 2020's "#Activations").
      flops: `macs`, and one per element that a ReLU, PReLU or LeakyReLU gives (AIM 2020's "FLOPs", which
        leave out biases, sums, products, sigmoids and resizing).
      convolutions: how often the network convolves (AIM 2020's "#Conv").
      peak_elements: the most tensor elements alive at once when nodes run in order.
    """

    weights: int
    parameters: int
    macs: int
    activations: int
    flops: int
    convolutions: int
    peak_elements: int


def macs(node: Node) -> int:
    """Returns the multiply-accumulates of one node."""
    if SPECS[node.op].kind != "convolution":
        return 0
    kh, kw, in_features, _ = node.parameters[0].shape
    return kh * kw * in_features * math.prod(node.shape)


def count_cost(graph: Graph) -> Cost:
    """Counts `graph` at the input size with which it was traced."""
    convs = [node for node in graph.nodes if macs(node)]
    rectified = (math.prod(node.shape) for node in graph.nodes if node.op in _RECTIFIERS)
    multiplied = sum(map(macs, convs))
    return Cost(
        weights=_count_elements(node.parameters[0] for node in convs),
        parameters=_count_elements(
            parameter for node in graph.nodes for parameter in node.parameters
        ),
        macs=multiplied,
        activations=sum(math.prod(node.shape) for node in convs),
        flops=multiplied + sum(rectified),
        convolutions=len(convs),
        peak_elements=_find_peak(graph),
    )


def _count_elements(arrays: Iterable[Any]) -> int:
    """Returns the number of elements of all trained arrays, where one that comes twice counts once."""
    # The model spells out NumPy's arrays.
    trained = {id(array): array for array in arrays if not isinstance(array, np.ndarray)}
    return sum(array.size for array in trained.values())


def _find_peak(graph: Graph) -> int:
    """Returns the most elements alive at once; a tensor lives from its node to the last that reads it."""
    sizes = {name: math.prod(shape) for name, shape in graph.shapes.items()}
    readers = find_readers(node.inputs for node in graph.nodes)
    last = {name: indices[-1] for name, indices in readers.items()}
    last[graph.output] = len(graph.nodes)
    alive, peak = {graph.input}, 0
    for i, node in enumerate(graph.nodes):
        alive.add(node.name)
        peak = max(peak, sum(sizes[name] for name in alive))
        alive = {name for name in alive if last.get(name, -1) > i}
    return peak
