"""The passes of one network with the tensors between them, ready to be cut into stripes."""

import dataclasses
from collections.abc import Mapping, Sequence

from sesr_jax.graph import find_readers
from sesr_jax.npu.cuts import Cuts, StripedPass
from sesr_jax.npu.passes import Pass
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class StripedNetwork:
    """The passes of one network on a target.

    Attributes:
      target: the NPU.
      saving: the share that compression saves of tensors between passes.
      passes: in the order in which they run.
      kinds: the same without names. Networks repeat their layers, so that caches find them.
      readers: by tensor, the indices of the passes that read it.
      inputs: the tensors that the network itself is given.
      outputs: the tensors that no pass reads.
    """

    target: Target
    saving: float
    passes: tuple[StripedPass, ...]
    kinds: tuple[StripedPass, ...]
    readers: Mapping[str, Sequence[int]]
    inputs: frozenset[str]
    outputs: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Segment:
    """Passes that are scheduled together: a cascade, or a pass by itself.

    Attributes:
      first: the index of the first pass.
      last: the index of the last one.
      cycles: the merit of the segment.
      cuts: the one way in which its first pass is cut.
      slots: stripes of the last one's output on chip, in a cascade.
    """

    first: int
    last: int
    cycles: float
    cuts: Cuts
    slots: int = 0


def stripe_network(passes: Sequence[Pass], target: Target, saving: float) -> StripedNetwork:
    """Returns the network whose passes these are."""
    readers = find_readers(p.inputs for p in passes)
    striped = tuple(
        StripedPass(p, target, saving, *_find_kept_stripes(p, passes, readers, target))
        for p in passes
    )
    outputs = {p.output for p in passes}
    return StripedNetwork(
        target=target,
        saving=saving,
        passes=striped,
        kinds=tuple(dataclasses.replace(p, work=p.work.without_names) for p in striped),
        readers=readers,
        inputs=frozenset(readers.keys() - outputs),
        outputs=frozenset(outputs - readers.keys()),
    )


def _find_kept_stripes(
    p: Pass, passes: Sequence[Pass], readers: Mapping[str, Sequence[int]], target: Target
) -> tuple[int, int]:
    """Returns how many stripes of output must be kept for the passes that read it, and how many more rows."""
    found = readers.get(p.output, [])
    if target.streams:
        return 2, max((sum(passes[i].reach) for i in found), default=0)
    if len(found) != 1 or passes[found[0]].upscales > 1:
        return 3, 0
    return 1 + sum(n > 0 for n in passes[found[0]].reach), 0
