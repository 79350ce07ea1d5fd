"""Makes the Graph that a file is written from, with its tail, its clip and its ranges."""

from sesr_jax.export.options import Options
from sesr_jax.graph import Graph, with_clip, with_tail
from sesr_jax.quant import Range, Ranges, find_points, validate


def rewrite_graph(
    graph: Graph, ranges: Ranges | None, options: Options
) -> tuple[Graph, dict[str, Range] | None]:
    """Returns `graph` with the tail and the clip of `options`, and the ranges for the tensors of the result.

    Raises:
      InputError: the ranges do not suit, or as `with_tail`.
    """
    written = with_tail(with_clip(graph) if options.clip else graph, options.choose_tail(graph))
    if ranges is None:
        return written, None
    validate(graph, ranges, options.scheme)
    # Nodes keep their names, and so do the groups that have no new first tensor.
    before, after = find_points(graph, options.scheme), find_points(written, options.scheme)
    kept = {key: ranges[before.group[key]] for key in after.group.values() if key in before.group}
    return written, {**kept, **after.fixed}
