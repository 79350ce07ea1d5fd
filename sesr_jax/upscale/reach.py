"""How far the operators of a file let an output pixel see: what tiles of it need.

A file's reader gives its operators as `Step`s; tensors are named by any hashable.
"""

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """An operator.

    Attributes:
      inputs: the tensors that it reads, constants among them.
      outputs: those that it writes.
      reach: how far on each side an output pixel reads, in pixels of the inputs.
      factor: the distance of its output's pixels, in pixels of the inputs.
    """

    inputs: Sequence[Hashable]
    outputs: Sequence[Hashable]
    reach: Fraction = Fraction(0)
    factor: Fraction = Fraction(1)


Sight = Mapping[Hashable, tuple[Fraction, Fraction]]
"""By tensor: how far it sees, and the distance of its pixels, both in pixels of the image."""


def sight(image: Hashable, steps: Iterable[Step]) -> Sight:
    """What each tensor that depends on `image` sees of it; `steps` stand in the order of their work."""
    known = {image: (Fraction(0), Fraction(1))}
    for step in steps:
        read_from = [known[tensor] for tensor in step.inputs if tensor in known]
        if read_from:  # else it computes a constant
            radius, distance = map(max, zip(*read_from, strict=True))
            seen = (radius + step.reach * distance, distance * step.factor)
            known |= dict.fromkeys(step.outputs, seen)
    return known


def halo_and_align(known: Sight, output: Hashable) -> tuple[int, int]:
    """The receptive radius of `output` in pixels, and the multiple at which windows must start."""
    radius, _ = known[output]
    return math.ceil(radius), math.lcm(*(step.numerator for _, step in known.values()))
