"""A network as a Graph of operations: tracing, running, counting."""

from sesr_jax.graph.cost import Cost, cost, macs, receptive_radius
from sesr_jax.graph.graph import Arg, Graph, Node, run
from sesr_jax.graph.trace import trace

__all__ = ["Arg", "Cost", "Graph", "Node", "cost", "macs", "receptive_radius", "run", "trace"]
