"""A network as a Graph of operations: tracing, running, counting, rewriting."""

from sesr_jax.graph.cost import Cost, cost, macs, receptive_radius
from sesr_jax.graph.graph import Arg, Graph, Node, resized, run
from sesr_jax.graph.tails import TAILS, Tail, host_blocks, move_pixels, with_clip, with_tail
from sesr_jax.graph.trace import trace

__all__ = [
    "TAILS",
    "Arg",
    "Cost",
    "Graph",
    "Node",
    "Tail",
    "cost",
    "host_blocks",
    "macs",
    "move_pixels",
    "receptive_radius",
    "resized",
    "run",
    "trace",
    "with_clip",
    "with_tail",
]
