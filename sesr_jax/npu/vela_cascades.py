"""Cascades on an array that works in blocks, as Arm's compiler Vela chooses them, fastest or not.

A cascade holds as many passes as fit on chip in stripes of one row, up to a pass whose maps lie on chip as a
whole. Weights are kept beside them as long as there is room. Then the stripes grow, and may break the
cascade into as many as stripes of two rows do.
"""

from sesr_jax.npu.cuts import continue_cuts, cut_into_rows
from sesr_jax.npu.on_chip import kept_weight_bytes, output_bytes, whole_bytes
from sesr_jax.npu.striped_network import Segment, StripedNetwork


def find_vela_cascades(network: StripedNetwork) -> dict[int, Segment]:
    """Returns the cascades of Vela, by the index of their first pass."""
    found: dict[int, Segment] = {}
    first, n = 0, len(network.passes)
    while first < n:
        last, size = _find_longest_cascade(network, first, n - 1, 1, frozenset())
        rows, best = 1, [(first, last)] if last > first else []
        kept: set[int] = set()
        for i in range(first, last + 1):
            size += kept_weight_bytes(network.passes[i], 1)
            if size <= network.target.memory.sram_bytes:
                kept.add(i)
        most = n
        height = network.passes[first].work.output_shape[1]
        for more in range(2, height // 2 + 1) if best else ():
            cascades = _split(network, first, last, more, frozenset(kept))
            if cascades is None or len(cascades) > most:
                break
            rows, best, most = more, cascades, len(cascades) if more == 2 else most
        found |= {a: Segment(a, b, 0.0, cut_into_rows(network.passes[a], rows), 1) for a, b in best}
        first = last + 1
    return found


def _split(
    network: StripedNetwork, first: int, last: int, rows: int, kept: frozenset[int]
) -> list[tuple[int, int]] | None:
    """Returns the cascades that these passes make in stripes of `rows`.

    It returns None where a pass whose maps do not fit on chip would be in no cascade.
    """
    found = []
    own = network.inputs | network.outputs
    while first <= last:
        end, _ = _find_longest_cascade(network, first, last, rows, kept)
        if end > first:
            found.append((first, end))
        elif whole_bytes(network.passes[first], own) > network.target.memory.sram_bytes:
            return None
        first = end + 1
    return found


def _find_longest_cascade(
    network: StripedNetwork, first: int, last: int, rows: int, kept: frozenset[int]
) -> tuple[int, int]:
    """Returns the last pass of the longest cascade from `first`, and its bytes on chip.

    Args:
      network: the passes.
      first: the first pass.
      last: where the cascade ends at the latest.
      rows: of a stripe.
      kept: the passes whose weights are kept on chip.
    """
    limit = network.target.memory.sram_bytes
    own = network.inputs | network.outputs
    striped = network.passes[first]
    cuts = cut_into_rows(striped, rows)
    size = kept_weight_bytes(striped, rows) * (first in kept)
    for i in range(first, last):
        after = network.passes[i + 1]
        flows = network.readers.get(striped.work.output) == [i + 1]
        if not flows or striped.work.joined or after.work.joined:
            return i, size
        more = int(output_bytes(striped, cuts)[0])
        more += kept_weight_bytes(after, rows) * (i + 1 in kept)
        copies = "copy" in (striped.work.engine, after.work.engine)
        if copies or size + more > limit or whole_bytes(after, own) <= limit:
            return i, size
        size += more
        cuts = continue_cuts(after, *striped.measure_output_stripe(cuts), cuts.block, 0)
        striped = after
    return last, size
