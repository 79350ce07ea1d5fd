"""What a training step changes: the state of one run, or of several stacked."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct


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


def stack_states(states: Sequence[Any]) -> Any:
    """Returns the state of several runs that have done equally many steps."""
    return jax.tree.map(lambda *x: jnp.stack(x), *states).replace(step=states[0].step)


def unstack_state(state: Any, run: int) -> Any:
    """Returns the state of one run of several; all of it is copied, since a step gives its buffers away."""
    return jax.tree.map(lambda x: x[run], state.replace(step=None)).replace(
        step=jnp.copy(state.step)
    )
