"""What a training step changes: the state of one run, or of several stacked."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import struct

from sesr_jax.train.objective import Seen, keep_seen
from sesr_jax.train.trainer import Carry


@struct.dataclass
class TrainState:
    """All that a step of `supervised.Supervised` changes; other trainers' states may extend it.

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


State = TypeVar("State", bound=TrainState)


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
    """Returns the state after one update of the network.

    Args:
      state: before the step.
      grads: of the network's variables.
      seen: what must hold after the step.
      tx: the optimiser.
      decay: of the average.
    """
    updates, opt_state = tx.update(grads, state.opt_state, state.variables)
    variables = keep_seen(optax.apply_updates(state.variables, updates), seen)
    return dataclasses.replace(
        state,
        step=state.step + 1,
        variables=variables,
        ema=optax.incremental_update(variables, state.ema, 1 - decay),
        opt_state=opt_state,
    )


def count_on(fresh: State, before: Any, carry: Carry) -> State:
    """Returns the state before the first step of a stage, with the count of steps of the stage before.

    Args:
      fresh: what it is without a stage before.
      before: the last state of that stage, perhaps of another trainer.
      carry: gives the optimiser's state, where the one before extends `TrainState` too.
    """
    known = isinstance(before, TrainState)
    opt_state = carry(before.opt_state, fresh.opt_state) if known else fresh.opt_state
    return dataclasses.replace(fresh, step=before.step, opt_state=opt_state)


def list_shapes(tree: Any) -> tuple[Any, Any]:
    """Returns the shapes of the leaves and the structure, for comparisons."""
    return jax.tree.map(jnp.shape, jax.tree.leaves(tree)), jax.tree.structure(tree)


def stack_states(states: Sequence[Any]) -> Any:
    """Returns the state of several runs that have done equally many steps."""
    return jax.tree.map(lambda *x: jnp.stack(x), *states).replace(step=states[0].step)


def unstack_state(state: Any, run: int) -> Any:
    """Returns the state of one run of several; all of it is copied, since a step gives its buffers away."""
    return jax.tree.map(lambda x: x[run], state.replace(step=None)).replace(
        step=jnp.copy(state.step)
    )
