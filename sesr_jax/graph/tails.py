"""Rewrites the tail of a network, since targets differ in the operators that they run.

    graph = with_tail(with_clip(graph), "transposed_conv")

All functions map a Graph to a Graph, so that every exporter and simulator sees the same network. Nodes keep
their names, and the image stays the same bit for bit. The form "none" is the exception: the network then
ends before its last depth-to-spaces, and the host moves the pixels (`move_pixels`).
"""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Literal

import jax.numpy as jnp
import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.graph.graph import Graph, Node

Tail = Literal["depth_to_space", "transpose", "transposed_conv", "none"]

TAILS: tuple[Tail, ...] = ("depth_to_space", "transpose", "transposed_conv", "none")
"""The forms of a depth-to-space: one operator, two reshapes around a transposition of rank 4, a transposed
convolution whose kernel is 0 and 1, or nothing."""


def with_tail(graph: Graph, tail: Tail) -> Graph:
    """Returns `graph` with its depth-to-spaces in the form `tail`.

    Raises:
      InputError: there is no such form, or the graph has no depth-to-space.
    """
    if tail not in TAILS:
        raise InputError(f"the tail {tail!r} is unknown: it must be one of {', '.join(TAILS)}.")
    if tail == "depth_to_space":
        return graph
    shuffles = _find_last_shuffles(graph)
    if not (shuffles if tail == "none" else _find_shuffles(graph)):
        raise InputError(
            f"the tail {tail!r} replaces a depth_to_space, and this network, which ends with "
            f"{graph.output!r}, has none."
        )
    if tail == "none":
        return graph.without_nodes({node.name for node in shuffles})
    rewrite = _to_transposition if tail == "transpose" else _to_convolution
    return graph.map_nodes(lambda node: rewrite(node) if node.op == "depth_to_space" else node)


def list_host_blocks(graph: Graph) -> tuple[int, ...]:
    """Returns the blocks of the depth-to-spaces that the tail "none" removes, in order."""
    return tuple(node.attrs["block"] for node in _find_last_shuffles(graph))


def move_pixels(y: np.ndarray, blocks: Iterable[int]) -> np.ndarray:
    """Applies the depth-to-spaces that the tail "none" removed.

    Args:
      y: the output of a file, ``[N, H, W, C]``.
      blocks: the blocks from `list_host_blocks`.
    """
    for block in blocks:
        n, height, width, channels = y.shape
        apart = y.reshape(n, height, width, block, block, channels // block**2)
        y = apart.transpose(0, 1, 3, 2, 4, 5).reshape(n, height * block, width * block, -1)
    return y


def with_clip(graph: Graph) -> Graph:
    """Returns `graph` with a clip of the image to [0, 1] before its last depth-to-spaces.

    INT8 files saturate there without a clip. Float files need it, and so do targets that demand it.
    """
    shuffles = _find_last_shuffles(graph)
    source = shuffles[0].inputs[0] if shuffles else graph.output
    taken = {node.name for node in graph.nodes}
    name = next(n for i in itertools.count() if (n := "clip" + f"_{i}" * (i > 0)) not in taken)
    clip = Node(
        name=name,
        op="clip",
        args=(source,),
        attrs={"low": 0.0, "high": 1.0},
        shape=graph.shapes[source],
    )
    if not shuffles:
        return dataclasses.replace(graph, nodes=(*graph.nodes, clip), output=name)
    place = [node.name for node in graph.nodes].index(shuffles[0].name)
    moved = dataclasses.replace(shuffles[0], args=(name,))
    nodes = (*graph.nodes[:place], clip, moved, *graph.nodes[place + 1 :])
    return dataclasses.replace(graph, nodes=nodes)


def _find_shuffles(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op == "depth_to_space"]


def _find_last_shuffles(graph: Graph) -> list[Node]:
    """Returns the depth-to-spaces at the end of the graph, in order."""
    shuffles = {node.name: node for node in _find_shuffles(graph)}
    found: list[Node] = []
    name = graph.output
    while name in shuffles and len(graph.find_readers(name)) == min(len(found), 1):
        found.insert(0, shuffles[name])
        name = shuffles[name].inputs[0]
    return found


def _to_transposition(node: Node) -> Node:
    return dataclasses.replace(node, attrs={**node.attrs, "form": "transpose"})


def _to_convolution(node: Node) -> Node:
    """Returns a transposed convolution that copies each input channel to its place in the block."""
    block, channels = node.attrs["block"], node.shape[-1]
    taps = jnp.eye(block**2 * channels).reshape(block, block, channels, -1).swapaxes(2, 3)
    return dataclasses.replace(
        node,
        op="conv2d_transpose",
        # `conv2d_transpose` correlates the map with its inserted zeros, so that taps must be mirrored.
        args=(*node.inputs, taps[::-1, ::-1]),
        attrs={"strides": (block, block), "padding": "SAME"},
    )
