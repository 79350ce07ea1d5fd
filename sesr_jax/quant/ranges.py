"""Which tensors of a Graph carry an INT8 range, and what a range is.

Activations are quantised per tensor, asymmetrically, to codes -128..127 that always hold 0 exactly:
``value = scale · (code - zero_point)``. A fixed-function NPU requantises where an arithmetic
operation writes its output, and nowhere else. So a Graph has fewer ranges than tensors:

- An operation that only moves or selects values (`depth_to_space`, `concat`, `max_pool`, …) has the
  range of its input: these tensors form a *group*, named after its first tensor.
- A convolution or sum whose only reader is a ReLU is written after the ReLU: it has no range.
- The input image lies in [0, 1], and a sigmoid's output has the runtimes' fixed range. A number added to
  what has a fixed range shifts it.
- The output image lies in [0, 1] too. Its group has that range exactly, and the saturation of the
  last requantising operation *is* the clip. Any other `clip` that a range can perform goes likewise.

    ranges = calibrate(graph, images)              # or trained: the same mapping
    key = find_points(graph).group.get("tail/conv2d")   # None where the tensor is not quantised
"""

import dataclasses
import fnmatch
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, Node
from sesr_jax.ops import SPECS
from sesr_jax.quant.scheme import INT8, Scheme

Range: TypeAlias = tuple[float, float]
"""The smallest and the largest value that the codes stand for; 0 is among them."""

Ranges: TypeAlias = Mapping[str, Range]
"""By the name of a group of tensors: one entry for each value of `Points.group`."""

IMAGE: Range = (0.0, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Points:
    """The quantisation points of a Graph.

    Attributes:
      group: by tensor, the name of its group's range; a tensor that is not here has no range.
      fixed: by group, the range that it must have; the others are to be calibrated or trained.
      absorbed: the `clip` nodes that their group's fixed range performs.
    """

    group: Mapping[str, str]
    fixed: Ranges
    absorbed: frozenset[str]


def find_points(graph: Graph, scheme: Scheme = INT8) -> Points:
    """Finds the quantisation points of `graph`; there are none where activations stay float.

    A group with an excluded node in it stays float as a whole, since its tensors share their codes.

    Raises:
      InputError: a pattern of `scheme.exclude` matches no node.
    """
    for pattern in scheme.exclude:
        if not fnmatch.filter([node.name for node in graph.nodes], pattern):
            raise InputError(
                f"the pattern {pattern!r} matches no node: it must name one to exclude, such as "
                f"{graph.nodes[0].name!r}."
            )
    if scheme.activations == "float":
        return Points(group={}, fixed={}, absorbed=frozenset())
    pinned: dict[str, Range] = {graph.input: IMAGE}
    for node in graph.nodes:
        if isinstance(fixed_range := SPECS[node.op].ranges, tuple):
            pinned[node.name] = fixed_range
    for node in graph.nodes:
        pinned |= _shift_range(node, pinned)
    group = _find_groups(graph, set(pinned))
    fixed, absorbed = dict(pinned), set()
    for node in graph.nodes:
        if node.op != "clip" or not node.attrs["low"] <= 0 <= node.attrs["high"]:
            continue
        low, high = node.attrs["low"], node.attrs["high"]
        key = group[node.name]
        if key not in fixed and not _bypasses(graph, group, node):
            fixed[key] = (float(low), float(high))
        if key in fixed and low <= fixed[key][0] and fixed[key][1] <= high:
            absorbed.add(node.name)
    key = group[graph.output]
    members = {name for name in group if group[name] == key}
    if not _read_outside(graph, members, members):
        fixed.setdefault(key, IMAGE)
    for node in graph.nodes:
        if node.op == "relu" and _fuses(graph, node):
            del group[node.inputs[0]]
    excluded = {key for name, key in group.items() if scheme.excludes(name)}
    return Points(
        group={name: key for name, key in group.items() if key not in excluded},
        fixed={key: value for key, value in fixed.items() if key not in excluded},
        absorbed=frozenset(name for name in absorbed if group[name] not in excluded),
    )


def without_absorbed(graph: Graph) -> Graph:
    """Returns `graph` as an INT8 file has it, without the clips that a range performs."""
    return graph.without_nodes(find_points(graph).absorbed)


def _shift_range(node: Node, pinned: Ranges) -> Ranges:
    """Returns the range of the sum of a pinned tensor and a number, as wide as before, so that codes stay."""
    if node.op != "add" or not set(node.inputs) <= pinned.keys():
        return {}
    for number in node.parameters:
        ((low, high),) = (pinned[name] for name in node.inputs)
        if isinstance(number, np.ndarray) and not number.ndim and low <= -number <= high:
            return {node.name: (low + float(number), high + float(number))}
    return {}


def _find_groups(graph: Graph, pinned: set[str]) -> dict[str, str]:
    """Returns the first tensor of each tensor's group."""
    group = {graph.input: graph.input}
    for node in graph.nodes:
        group[node.name] = node.name
        if _shares_range(node):
            joined = {group[name] for name in _list_value_inputs(node)}
            # A wider common range would coarsen the image's codes; the runtime requantises it instead.
            joined = joined - pinned if len(joined) > 1 else joined
            first = next((name for name in group if name in joined), node.name)
            group |= {name: first for name, key in group.items() if key in {*joined, node.name}}
    return group


def _bypasses(graph: Graph, group: Mapping[str, str], clip: Node) -> bool:
    """Returns whether a value leaves the group of `clip` without passing through it."""
    members = {name for name in group if group[name] == group[clip.name]}
    unclipped: set[str] = set()
    for node in graph.nodes:
        if node.name in members and node is not clip:
            inside = (
                members.intersection(_list_value_inputs(node)) if _shares_range(node) else set()
            )
            if not inside or inside & unclipped:
                unclipped.add(node.name)
    return graph.output in unclipped or _read_outside(graph, unclipped, members)


def _read_outside(graph: Graph, tensors: Iterable[str], members: set[str]) -> bool:
    return any(r.name not in members for name in tensors for r in graph.find_readers(name))


def _list_value_inputs(node: Node) -> tuple[str, ...]:
    """Returns the tensors whose values a node reads; of others it reads the shape."""
    return node.inputs[: SPECS[node.op].values]


def _shares_range(node: Node) -> bool:
    return SPECS[node.op].ranges == "shared"


def _fuses(graph: Graph, relu: Node) -> bool:
    (source,) = relu.inputs
    is_node = source != graph.input
    return (
        is_node and SPECS[graph[source].op].before_relu and graph.find_sole_reader(source) is relu
    )


def look_up_range(group: str, ranges: Mapping[str, Any]) -> Any:
    """Returns the range of `group`.

    Raises:
      InputError: it has none.
    """
    if group not in ranges:
        raise InputError(
            f"the tensor {group!r} has no range, which each of find_points(graph).group needs; calibrate "
            "this graph."
        )
    return ranges[group]


def validate(graph: Graph, ranges: Ranges, scheme: Scheme = INT8) -> None:
    """Checks that `ranges` suit `graph`.

    Raises:
      InputError: a group has no range, or one that is not finite, does not hold 0, has no width or is
        not the fixed one.
    """
    found = find_points(graph, scheme)
    for key in dict.fromkeys(found.group.values()):
        low, high = look_up_range(key, ranges)
        if not (math.isfinite(low) and math.isfinite(high) and low <= 0 <= high and low < high):
            raise InputError(
                f"the range [{low:g}, {high:g}] of {key!r} is unusable: it must be finite, hold 0 "
                "and have a width; calibrate on images that excite this tensor."
            )
        fixed = found.fixed.get(key, (low, high))
        if not np.allclose((low, high), fixed, rtol=1e-6):
            raise InputError(
                f"the range [{low:g}, {high:g}] of {key!r} must be [{fixed[0]:g}, {fixed[1]:g}], "
                "which the image, a clip or a sigmoid fixes; take it from find_points(graph).fixed."
            )
