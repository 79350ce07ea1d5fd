"""What a trainer is: a state, how a batch changes it, and the variables that come of it.

A trainer is any object with the methods of `Trainer`; `supervised.Supervised` trains one network, and
`adversarial.Adversarial` two, with two optimisers. `trainers.TRAINERS` names those that a config can ask for.
`fit` runs a trainer, and nobody but the trainer knows what is in its state, a pytree of `flax.struct`, beside
the field ``step``: an int32 scalar that `Trainer.update` counts up. A step's batch depends on it alone.

`Trainer.update` is pure. It runs inside a compiled step on every device, with that device's share of the
batch; `mean_over_devices` averages gradients and metrics. The losses are among its metrics, by name: all of
them reach the log, the progress bar and the page, and must stay finite.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, TypeVar

import jax
from jax import lax

from sesr_jax.data.feed import Batch

AXIS = "batch"
"""The name of the axis of devices inside a compiled step."""

Metrics = Mapping[str, jax.Array]
"""Scalars by name, such as "loss"."""

Loss = Callable[[jax.Array, Batch], tuple[jax.Array, Metrics]]
"""From what a network made of a batch, ``[N, s·p, s·p, C]``, and the batch, to the scalar that is minimised
and further metrics. All are means over the crops, so that a batch may be computed in parts."""

Carry = Callable[[Any, Any], Any]
"""From the state of an optimiser before the variables were transformed, and a fresh one for them, to the one
that goes on; the fresh one where both are of different optimisers."""

State = TypeVar("State")
T = TypeVar("T")


class Trainer(Protocol[State]):
    """What `fit` asks of a trainer."""

    def init(self, variables: Any) -> State:
        """Returns the state before the first step, in buffers of its own, which steps give away."""
        ...

    def go_on(self, before: Any, variables: Any, carry: Carry) -> State:
        """Returns the state before the first step of a stage, from the last state of the stage before.

        Args:
          before: that state, perhaps of another trainer.
          variables: what the stage's entry made of those that the trainer before deploys.
          carry: gives the optimiser's state, where `before` has one that the trainer knows.
        """
        ...

    def get_phase(self, state: State, done: int) -> Hashable:
        """Returns what `update` does in the steps after `done` ones of the stage; decided on the host.

        Steps are compiled once for each phase. A trainer without phases returns None.
        """
        ...

    def update(self, state: State, batch: Batch, phase: Any) -> tuple[State, Metrics]:
        """Returns the next state, whose `step` is one more, and the step's metrics; a pure function."""
        ...

    def compute_losses(self, state: State, batch: Batch, phase: Any) -> Any:
        """Returns what `update` takes gradients of; it is traced to learn which kernels a step needs."""
        ...

    def get_deployed(self, state: State) -> Any:
        """Returns the variables that are evaluated and shipped, averaged ones where there are such."""
        ...


def mean_over_devices(tree: T) -> T:
    """Returns the mean of each array over the devices that compute one step; for use in `Trainer.update`."""
    return lax.pmean(tree, AXIS)
