"""How a stage begins: values that transform what the stage before has trained.

    entry = make_entry({"entry": "grow_basis", "added": 2})
    variables = entry.transform(variables, key, measure)

A stage begins with the averaged weights of the one before, transformed by its entry, and with a fresh
optimiser and average. The exception is `GrowBasis` under the same optimiser: its moments of the old kernels
stay, with their count, since bias correction must know how many gradients they saw. Those of the new kernels
start at zero and under that count take larger steps at first (up to 6.6 times, for Adam's defaults), for
which a stage may have a warm-up.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import jax
import optax
from typing_extensions import override

from sesr_jax import reparam
from sesr_jax.errors import InputError
from sesr_jax.quant import RANGES
from sesr_jax.schema import POSITIVE

Measure = Callable[[Any], Mapping[str, jax.Array]]
"""From a network's variables to the ranges, ``[2]`` by group, with which it begins to be quantised."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Begins a stage with the variables as they are; its subclasses change them.

    Attributes:
      name: in a config.
    """

    name: ClassVar[str] = "none"

    def transform(self, variables: Any, key: jax.Array, measure: Measure) -> Any:
        """Returns the variables with which the stage begins, from those with which the one before ended.

        Args:
          variables: the averaged ones.
          key: for what is drawn at random.
          measure: gives ranges of tensors.

        Raises:
          InputError: the variables do not hold what is to be changed.
        """
        return variables

    def carry(self, opt_state: Any, fresh: Any) -> Any:
        """Returns the optimiser's state, from that of the stage before and a fresh one for this stage."""
        return fresh


@dataclasses.dataclass(frozen=True)
class Collapse(Entry):
    """Replaces every term by the convolution that it equals; the stage trains that."""

    name: ClassVar[str] = "collapse"

    @override
    def transform(self, variables: Any, key: jax.Array, measure: Measure) -> Any:
        return reparam.collapse(variables)


@dataclasses.dataclass(frozen=True)
class GrowBasis(Entry):
    """Adds kernels to every kernel basis.

    Attributes:
      added: how many each basis gets.
      preserve: whether the network's function stays what it was.
    """

    name: ClassVar[str] = "grow_basis"
    added: Annotated[int, POSITIVE] = 1
    preserve: bool = True

    @override
    def transform(self, variables: Any, key: jax.Array, measure: Measure) -> Any:
        return reparam.grow_basis(variables, key, self.added, preserve=self.preserve)

    @override
    def carry(self, opt_state: Any, fresh: Any) -> Any:
        return _with_schedule_of(fresh, reparam.pad_basis(opt_state, self.added))


@dataclasses.dataclass(frozen=True)
class Quantise(Entry):
    """Gives tensors ranges, from then on the network computes what its codes do."""

    name: ClassVar[str] = "quantise"

    @override
    def transform(self, variables: Any, key: jax.Array, measure: Measure) -> Any:
        return {**variables, RANGES: measure(variables)}


ENTRIES: dict[str, type[Entry]] = {
    kind.name: kind for kind in (Entry, Collapse, GrowBasis, Quantise)
}
"""By the name in a config; their fields are keys of a stage."""


def list_entry_settings(name: str) -> dict[str, Any]:
    """Returns the keys that a stage of that entry has beside, with their defaults."""
    return {field.name: field.default for field in dataclasses.fields(ENTRIES[name])}


def make_entry(stage: Mapping[str, Any]) -> Entry:
    """Returns the entry that one of ``config.stages`` describes; `Entry` where it says none.

    Raises:
      InputError: there is no such entry.
    """
    if (name := stage.get("entry", Entry.name)) not in ENTRIES:
        raise InputError(f"unknown entry {name!r}: it must be one of {', '.join(ENTRIES)}.")
    return ENTRIES[name](**{key: stage[key] for key in list_entry_settings(name) if key in stage})


def _with_schedule_of(fresh: Any, old: Any) -> Any:
    """Returns `old` under the schedule of `fresh`; `fresh` where the optimiser is another one."""
    if jax.tree.structure(old) != jax.tree.structure(fresh):  # type: ignore[operator]
        return fresh

    def is_schedule(x: Any) -> bool:
        return isinstance(x, optax.ScaleByScheduleState)

    return jax.tree.map(lambda f, o: f if is_schedule(f) else o, fresh, old, is_leaf=is_schedule)
