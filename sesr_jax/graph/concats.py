"""Splits convolutions that read concatenated tensors, since these tensors would share one range of codes.

    graph = with_split_concats(graph)

The codes of a small tensor beside a large one are coarse: all tensors of a concat have the range of the
largest. A convolution is linear, so that it equals the sum of one convolution for each of the tensors, which
then keep ranges of their own. No multiply-accumulate is added; each further tensor costs a sum.
"""

import dataclasses
import itertools
from collections.abc import Iterator

from sesr_jax.graph.graph import Graph, Node


def with_split_concats(graph: Graph) -> Graph:
    """Returns `graph` with a sum of convolutions in the place of each one that alone reads a concat.

    The sum has the name of the convolution. A convolution in groups stays as it is.
    """
    split = {node.name: concat for node in graph.nodes if (concat := _find_concat(graph, node))}
    gone = {concat.name for concat in split.values()}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in split:
            nodes += _split(graph, node, split[node.name])
        elif node.name not in gone:
            nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def _find_concat(graph: Graph, node: Node) -> Node | None:
    """Returns the concat that `node` alone reads, as a plain convolution; None where that is not so."""
    if node.op != "conv2d" or node.attrs["groups"] != 1 or node.inputs[0] == graph.input:
        return None
    source = graph[node.inputs[0]]
    alone = source.op == "concat" and graph.find_sole_reader(source.name) is node
    return source if alone and len(source.inputs) > 1 else None


def _split(graph: Graph, node: Node, concat: Node) -> Iterator[Node]:
    """Yields the convolutions of the tensors of `concat`, each with its sum with those before it."""
    _, kernel, *bias = node.args
    widths = [graph.shapes[source][-1] for source in concat.inputs]
    starts = itertools.accumulate(widths, initial=0)
    together = ""
    for i, (source, start, width) in enumerate(zip(concat.inputs, starts, widths, strict=False)):
        part = f"{node.name}/part_{i}"
        args = (source, kernel[:, :, start : start + width], *([] if i else bias))  # type: ignore[index]
        yield dataclasses.replace(node, name=part, args=args)
        if i:
            name = node.name if i + 1 == len(widths) else f"{node.name}/sum_{i}"
            yield Node(name=name, op="add", args=(together, part), attrs={}, shape=node.shape)
        together = name if i else part
