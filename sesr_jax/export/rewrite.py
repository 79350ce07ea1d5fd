"""The Graph that a file is made from: its tail and its clip as asked for, its ranges where they belong."""

from sesr_jax.export.options import Options
from sesr_jax.graph import Graph, with_clip, with_tail
from sesr_jax.quant import Range, Ranges, points, validate


def rewritten(
    graph: Graph, ranges: Ranges | None, options: Options
) -> tuple[Graph, dict[str, Range] | None]:
    """`graph` as it is to be written, with the ranges of `graph` for its tensors.

    Raises:
      InputError: the ranges do not suit, or as `with_tail`.
    """
    written = with_tail(with_clip(graph) if options.clip else graph, options.tail_of(graph))
    if ranges is None:
        return written, None
    validate(graph, ranges, options.scheme)
    # Nodes keep their names, and so do the groups in which nothing new stands.
    before, after = points(graph, options.scheme), points(written, options.scheme)
    kept = {key: ranges[before.group[key]] for key in after.group.values() if key in before.group}
    return written, {**kept, **after.fixed}
