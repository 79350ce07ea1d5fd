"""Small networks with their files, and what the files should compute."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.data.colour import rgb_to_y
from sesr_jax.graph import Graph, Node, run
from sesr_jax.quant import Ranges, affine, points

SHAPE = (1, 60, 80, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """A small network and its files."""

    graph: Graph
    ranges: Ranges
    float32: bytes
    int8: bytes


def luma(rgb: np.ndarray) -> np.ndarray:
    """A photo's Y, small, ``[1, 60, 80, 1]``."""
    y = rgb_to_y(rgb[:240, 60:380].astype(np.float32) / 255)
    return y.reshape(60, 4, 80, 4, 1).mean(axis=(1, 3))[None]


def simulate(graph: Graph, ranges: Ranges, x: np.ndarray) -> np.ndarray:
    """The network with rounded parameters and activations, in float: what an INT8 file computes."""
    group = points(graph).group

    def tap(name: str, y: jax.Array) -> jax.Array:
        if name not in group:
            return y
        scale, zero_point = affine(*ranges[group[name]])
        return scale * (jnp.clip(jnp.round(y / scale) + zero_point, -128, 127) - zero_point)

    def rounded(node: Node) -> Node:
        if node.op == "prelu":
            x, slope = node.args
            return dataclasses.replace(node, args=(x, _round(slope, jnp.abs(slope).max() / 127)))
        if not node.op.startswith("conv2d"):
            return node
        x, kernel, *biases = node.args
        step = jnp.maximum(jnp.abs(kernel).max(axis=(0, 1, 2)), 1e-9) / 127
        sum_step = step * affine(*ranges[group[x]])[0]  # of the int32 sums, and so of the bias
        args = (x, _round(kernel, step), *(_round(bias, sum_step) for bias in biases))
        return dataclasses.replace(node, args=args)

    nodes = tuple(map(rounded, graph.nodes))
    return np.asarray(run(dataclasses.replace(graph, nodes=nodes), jnp.asarray(x), tap))


def _round(x: jax.Array, step: jax.Array) -> jax.Array:
    return jnp.round(x / step) * step
