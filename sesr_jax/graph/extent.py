"""How far a network looks, measured once for everything that pads, tiles, calibrates or evaluates.

    measure_extent(graph).halo    # the input pixels around its own that an output pixel depends on, or None

Each operation says along each axis which pixels it reads (`ops.Look`). Going through a network forwards
gives the distance between the pixels of each tensor; going backwards from the pixels of one period of the
output gives the input pixels that these depend on. Both are exact, but for kernels with zeros in them.

A file's operators are measured in the same way: its reader gives them as `Step`s.
"""

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.graph.graph import Graph
from sesr_jax.ops import SPECS, Look, Looks

_LARGEST_ALIGN = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extent:
    """How far a network looks.

    Attributes:
      halo: how many input pixels on each side of its own an output pixel can depend on; None where it depends
        on the whole image, so that no tile can equal the whole.
      align: the multiple at which tiles must start and end, so that strides and blocks fall as in the whole
        image; an image's sides must be such multiples too.
      whole: the name of an operator that looks at the whole image, where `halo` is None.
    """

    halo: int | None
    align: int = 1
    whole: str | None = None

    def get_halo(self, what: str) -> int:
        """Returns the halo where there is one.

        Args:
          what: the network's name, for the message.

        Raises:
          InputError: the network looks at the whole image.
        """
        if self.halo is None:
            raise InputError(
                f"{what} looks at the whole image (in {self.whole!r}), so that no tiles can equal it; run it "
                "without tiles."
            )
        return self.halo


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """An operator, whose tensors are named by any hashable.

    Attributes:
      name: for messages.
      inputs: the tensors that it reads, constants among them.
      outputs: those that it writes.
      looks: which pixels of its inputs it reads, along height and width.
    """

    name: str
    inputs: Sequence[Hashable]
    outputs: Sequence[Hashable]
    looks: Looks = (Look(), Look())


Distances: TypeAlias = Mapping[Hashable, Fraction | None]
"""By tensor, the distance between neighbouring pixels in pixels of the image; None where the tensor's size is
no fixed multiple of the image's."""


def measure_extent(graph: Graph) -> Extent:
    """Measures how far `graph` looks; the size with which it was traced does not matter."""
    steps = (
        Step(
            name=node.name,
            inputs=node.inputs,
            outputs=(node.name,),
            looks=SPECS[node.op].look(graph.call(node)),
        )
        for node in graph.nodes
    )
    return measure_extent_of_steps(graph.input, steps, graph.output)


def measure_extent_of_steps(image: Hashable, steps: Iterable[Step], output: Hashable) -> Extent:
    """Measures how far the tensor `output` looks at `image`.

    Args:
      image: the tensor that the operators start from.
      steps: the operators, in an order in which they can run.
      output: a tensor that depends on the image.
    """
    dependent = _find_dependent(image, steps)
    distances = [measure_pixel_distances(image, dependent, axis) for axis in (0, 1)]
    needed, whole = _find_needed(dependent, output)
    strides = (known[tensor] for known in distances for tensor in needed)
    align = math.lcm(*(stride.numerator for stride in strides if stride))
    if align > _LARGEST_ALIGN:
        raise InputError(
            f"the network takes images whose sides are multiples of {align:,}: it must be {_LARGEST_ALIGN:,} "
            "or less."
        )
    if whole is not None:
        return Extent(halo=None, align=align, whole=whole)
    halos = (
        _measure_halo(image, dependent, output, axis, known[output] or Fraction(1), align)
        for axis, known in enumerate(distances)
    )
    return Extent(halo=max(halos), align=align)


def measure_pixel_distances(image: Hashable, steps: Iterable[Step], axis: int) -> Distances:
    """Returns the distances of every tensor that depends on `image`, along height (0) or width (1)."""
    found: dict[Hashable, Fraction | None] = {image: Fraction(1)}
    for step in _find_dependent(image, steps):
        known = [found[tensor] for tensor in step.inputs]
        sizes = [distance for distance in known if distance is not None]
        distance = max(sizes) * step.looks[axis].step if step.looks and sizes else None
        found |= dict.fromkeys(step.outputs, distance)
    return found


def _find_dependent(image: Hashable, steps: Iterable[Step]) -> list[Step]:
    """Returns the steps that depend on the image, without their other inputs."""
    known, found = {image}, []
    for step in steps:
        inputs = [tensor for tensor in step.inputs if tensor in known]
        if inputs:
            known.update(step.outputs)
            found.append(dataclasses.replace(step, inputs=inputs))
    return found


def _find_needed(steps: Sequence[Step], output: Hashable) -> tuple[set[Hashable], str | None]:
    """Returns the tensors that `output` reads at its own places, and what looks at a whole one on the way."""
    needed, whole = {output}, None
    for step in reversed(steps):
        if needed.isdisjoint(step.outputs):
            continue
        if step.looks is None:
            whole = step.name
        else:
            needed.update(step.inputs)
    return needed, whole


def _measure_halo(
    image: Hashable,
    steps: Sequence[Step],
    output: Hashable,
    axis: int,
    distance: Fraction,
    align: int,
) -> int:
    """Returns how far the output pixels of one period read beyond the input pixels that they stand for."""
    own = np.arange(math.ceil(align / distance))
    reads = {output: (own, own)}
    for step in reversed(steps):
        for tensor in reads.keys() & set(step.outputs):
            assert step.looks is not None
            first, last = step.looks[axis].reads(*reads[tensor])
            for source in step.inputs:
                low, high = reads.get(source, (first, last))
                reads[source] = np.minimum(low, first), np.maximum(high, last)
    low, high = reads[image]
    start = own * distance.numerator // distance.denominator
    end = -(-(own + 1) * distance.numerator // distance.denominator) - 1
    return int(max((end - low).max(), (high - start).max()))
