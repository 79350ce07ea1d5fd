"""What a training step changes: the state of one run, or of several stacked."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import struct

from sesr_jax.train.objective import Seen, keep_seen

State = TypeVar("State")


@struct.dataclass
class TrainState:
    """All that a step of `supervised.Supervised` changes.

    Attributes:
      step: updates done.
      variables: the network's: expanded parameters under "params", and under "ranges" those of its
        quantised tensors, where it has any yet.
      ema: their average, equal to `variables` where the config asks for none.
      opt_state: the optimiser's.
    """

    step: jax.Array
    variables: Any
    ema: Any
    opt_state: Any


def init_state(variables: Any, tx: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        # Copies: a step gives the state's buffers away, and variables may share theirs.
        variables=jax.tree.map(jnp.copy, variables),
        ema=jax.tree.map(jnp.copy, variables),
        opt_state=tx.init(variables),
    )


def descend(
    state: State, grads: Any, seen: Seen, tx: optax.GradientTransformation, decay: float
) -> State:
    """Returns the state after one update of the network, whose parts have the names of `TrainState`.

    Args:
      state: before the step.
      grads: of the network's variables.
      seen: what must hold after the step.
      tx: the optimiser.
      decay: of the average.
    """
    now: Any = state
    updates, opt_state = tx.update(grads, now.opt_state, now.variables)
    variables = keep_seen(optax.apply_updates(now.variables, updates), seen)
    ema = optax.incremental_update(variables, now.ema, 1 - decay)
    return now.replace(step=now.step + 1, variables=variables, ema=ema, opt_state=opt_state)


def stack_states(states: Sequence[Any]) -> Any:
    """Returns the state of several runs that have done equally many steps."""
    return jax.tree.map(lambda *x: jnp.stack(x), *states).replace(step=states[0].step)


def unstack_state(state: Any, run: int) -> Any:
    """Returns the state of one run of several; all of it is copied, since a step gives its buffers away."""
    return jax.tree.map(lambda x: x[run], state.replace(step=None)).replace(
        step=jnp.copy(state.step)
    )
