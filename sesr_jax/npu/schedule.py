"""When passes run, and what stays on chip: the search for the fastest schedule.

    costs = schedule(lower(layers, target), target, saving=0.0)

A pass by itself loads stripes from DRAM, computes, and stores stripes; it may cut rows, columns and
output channels. A *cascade* is several passes in a row through which stripes flow on chip
(`npu.cascades`). One stripe more on either end lets transfers run beside the computation.

Dynamic programming takes the fastest sequence of passes and cascades. Where an array works in blocks, the
cascades are given beforehand (`npu.vela_cascades`). Like Arm's compiler for Ethos-N, the search plans
as if the network's own input and output lay in bricks as tensors between passes do, and pays for the
conversion afterwards where they do not. Limits: one image; weights do not compress; a cascade's
tensors are allocated without gaps.
"""

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from sesr_jax.npu.cascades import list_cascades
from sesr_jax.npu.costs import Cost, list_costs
from sesr_jax.npu.cuts import Cuts, StripedPass, list_cuts
from sesr_jax.npu.on_chip import sram_bytes
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.striped_network import Segment, StripedNetwork, stripe_network
from sesr_jax.npu.timing import time_pass
from sesr_jax.npu.vela_cascades import find_vela_cascades
from sesr_jax.targets import Target


def schedule(passes: Sequence[Pass], target: Target, *, saving: float) -> list[Cost]:
    """Returns the costs of the passes in the fastest schedule found, in the order in which they run.

    Args:
      passes: of one network, in an order in which they can run.
      target: the NPU.
      saving: the share that compression saves of tensors between passes, where the target compresses.
    """
    network = stripe_network(passes, target, saving if target.compresses else 0.0)
    fixed = find_vela_cascades(network) if target.streams else {}
    n = len(passes)
    cycles = [math.inf] * n + [0.0]
    chosen: dict[int, Segment] = {}
    for first in reversed(range(n)):
        segments = [fixed[first]] if first in fixed else _list_segments(network, first, fixed)
        for segment in segments:
            total = segment.cycles + cycles[segment.last + 1]
            if total < cycles[first]:
                cycles[first], chosen[first] = total, segment
    return [
        cost
        for number, segment in enumerate(_follow(chosen, n))
        for cost in list_costs(network, segment, number)
    ]


def _follow(chosen: dict[int, Segment], n: int) -> Iterator[Segment]:
    """Yields the segments from the first pass to the last of `n`."""
    first = 0
    while first < n:
        yield chosen[first]
        first = chosen[first].last + 1


def _list_segments(network: StripedNetwork, first: int, fixed: dict[int, Segment]) -> list[Segment]:
    """Returns the pass `first` by itself, and the best cascade of every length that starts with it."""
    cycles, cuts = _find_fastest_cut(network.kinds[first])
    found = [Segment(first, first, cycles, cuts)]
    if network.target.stripes.cascades > 1 and network.kinds[first].work.engine != "copy":
        stop = min((i for i in fixed if i > first), default=len(network.passes))
        found += list_cascades(network, first, stop)
    return found


@functools.lru_cache(maxsize=1 << 12)
def _find_fastest_cut(striped: StripedPass) -> tuple[float, Cuts]:
    """Returns the merit of a pass by itself, and its cut."""
    cuts = list_cuts(striped, starts_cascade=False)
    sram = sram_bytes(striped, cuts)
    fits = np.flatnonzero(sram <= striped.target.memory.sram_bytes)
    if not fits.size:  # The map is so wide that no stripe fits; the finest cut stands for it.
        fits = np.array([np.argmin(sram)])
    cuts = cuts[fits]
    loads = tuple(dict.fromkeys(striped.work.inputs))
    merit = time_pass(striped, cuts, loads=loads, stores=True).merit
    best = np.array([np.argmin(merit)])
    return float(merit[best[0]]), cuts[best]
