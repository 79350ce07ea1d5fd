"""A network as a Graph of operations: tracing, running, counting, rewriting."""

from sesr_jax.graph.concats import with_split_concats
from sesr_jax.graph.cost import Cost, count_cost, macs
from sesr_jax.graph.extent import (
    Distances,
    Extent,
    Step,
    measure_extent,
    measure_extent_of_steps,
    measure_pixel_distances,
)
from sesr_jax.graph.graph import Arg, Graph, Node, find_readers, run, with_input_shape
from sesr_jax.graph.tails import (
    TAILS,
    Tail,
    list_host_blocks,
    move_pixels,
    with_clip,
    with_tail,
)
from sesr_jax.graph.tiles import count_tiles, tile_step
from sesr_jax.graph.trace import SAMPLE_SIDE, eval_shapes, trace

__all__ = [
    "SAMPLE_SIDE",
    "TAILS",
    "Arg",
    "Cost",
    "Distances",
    "Extent",
    "Graph",
    "Node",
    "Step",
    "Tail",
    "count_cost",
    "count_tiles",
    "eval_shapes",
    "find_readers",
    "list_host_blocks",
    "macs",
    "measure_extent",
    "measure_extent_of_steps",
    "measure_pixel_distances",
    "move_pixels",
    "run",
    "tile_step",
    "trace",
    "with_clip",
    "with_input_shape",
    "with_split_concats",
    "with_tail",
]
