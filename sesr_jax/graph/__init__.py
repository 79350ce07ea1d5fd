"""A network as a Graph of operations: tracing, running, counting, rewriting."""

from sesr_jax.graph.cost import Cost, alignment, cost, macs, receptive_radius, window_reach
from sesr_jax.graph.graph import Arg, Graph, Node, resized, run
from sesr_jax.graph.tails import (
    TAILS,
    Tail,
    host_blocks,
    move_pixels,
    told_blocks,
    with_clip,
    with_tail,
)
from sesr_jax.graph.tiles import count_tiles, tile_step
from sesr_jax.graph.trace import in_shapes, trace

__all__ = [
    "TAILS",
    "Arg",
    "Cost",
    "Graph",
    "Node",
    "Tail",
    "alignment",
    "cost",
    "count_tiles",
    "host_blocks",
    "in_shapes",
    "macs",
    "move_pixels",
    "receptive_radius",
    "resized",
    "run",
    "tile_step",
    "told_blocks",
    "trace",
    "window_reach",
    "with_clip",
    "with_tail",
]
