"""The training step: crops, loss, gradients, update and average, several steps in one compiled call.

    run = make_steps(module, optimizer(config), config)
    state, losses = run(state, pool)

A model with batch norms starts on its batches' own statistics and ends on their frozen averages.

The state is never replicated by hand: pmap broadcasts it and gives it back whole, so that it goes to a
checkpoint as it is. Every device draws its share of one batch, so that any number of them computes the
same step.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn
from flax import struct
from jax import lax

from sesr_jax.data.colour import rgb_to_y
from sesr_jax.data.pool import Pool, sample
from sesr_jax.errors import InputError
from sesr_jax.reparam import Statistics, statistics, with_statistics

_AXIS = "batch"

# How far a batch norm's running averages move at each step: the default of the papers' frameworks.
_MOMENTUM = 0.1


@struct.dataclass
class TrainState:
    """All that a step changes.

    Attributes:
      step: updates done.
      params: the module's expanded parameters.
      ema: their average, equal to `params` where the config asks for none.
      opt_state: the optimiser's.
    """

    step: jax.Array
    params: Any
    ema: Any
    opt_state: Any


Steps = Callable[[TrainState, Pool], tuple[TrainState, jax.Array]]


def schedule(config: ml_collections.ConfigDict) -> optax.Schedule:
    """The learning rate by step."""
    optim, steps = config.optim, config.steps
    after = {
        "constant": optax.constant_schedule(optim.lr),
        "cosine": optax.cosine_decay_schedule(optim.lr, max(1, steps - optim.warmup), optim.final),
    }[optim.schedule]
    if not optim.warmup:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, optim.lr, optim.warmup), after], [optim.warmup]
    )


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """The optimiser that the config names.

    Raises:
      InputError: optax has no such optimiser, or it does not take the options.
    """
    optim = config.optim
    make = getattr(optax, optim.name, None)
    if not callable(make):
        raise InputError(
            f"config.optim.name is {optim.name!r}: it must be an optimiser of optax, such as amsgrad or adam."
        )
    try:
        update = make(schedule(config), **optim.options)
    except TypeError as error:
        raise InputError(
            f"config.optim.options {dict(optim.options)} do not fit {optim.name}: {error}; "
            "remove the wrong one."
        ) from error
    return optax.chain(optax.clip_by_global_norm(optim.clip), update) if optim.clip else update


def init_state(params: Any, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        # Copies: a step gives the state's buffers away, and parameters may share theirs.
        params=jax.tree.map(jnp.copy, params),
        ema=jax.tree.map(jnp.copy, params),
        opt_state=tx.init(params),
    )


def make_steps(
    module: nn.Module,
    tx: optax.GradientTransformation,
    config: ml_collections.ConfigDict,
    *,
    seeds: Sequence[int] | None = None,
    start: int = 0,
) -> Steps:
    """A function that does `config.steps_per_call` steps and gives the losses of each.

    Args:
      module: the network.
      tx: the optimiser.
      config: as `train.config.base`.
      seeds: several runs at once, one a seed in the place of `config.seed`. Every array of the state but
        `step` then has an axis of runs before its own (see `stack_states`), and losses are ``[steps, runs]``.
      start: the run's steps before those that `config` is about.

    Raises:
      InputError: the batch cannot be shared out among the devices.
    """
    devices, batch = jax.device_count(), config.data.batch
    if batch % devices:
        raise InputError(
            f"config.data.batch is {batch}: it must be a multiple of the {devices} devices; choose one."
        )

    def loss_fn(
        params: Any, lr: jax.Array, hr: jax.Array, *, by_batch: bool
    ) -> tuple[jax.Array, Statistics]:
        """The loss, and the statistics that batch norms hold from now on."""
        kept, mutable = statistics(params), ["statistics"] if by_batch else []
        sr, seen = module.apply({"params": params}, lr.astype(config.dtype), mutable=mutable)
        if by_batch:
            kept = optax.incremental_update(statistics(seen["statistics"]), kept, _MOMENTUM)
        return _LOSSES[config.loss](sr.astype(jnp.float32) - hr), kept

    gradient = jax.value_and_grad(loss_fn, has_aux=True)
    by_batch, by_average = (functools.partial(gradient, by_batch=b) for b in (True, False))
    frozen_from = start + round(config.steps * config.batch_statistics)

    def step(
        state: TrainState, pool: Pool, seed: jax.Array, early: jax.Array | bool
    ) -> tuple[TrainState, jax.Array]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        lr, hr = sample(pool, key, batch, share=(lax.axis_index(_AXIS), devices))
        args = state.params, rgb_to_y(lr), rgb_to_y(hr)
        if not (config.batch_statistics and statistics(state.params)):
            found = by_average(*args)
        elif isinstance(early, bool):
            found = (by_batch if early else by_average)(*args)
        else:
            found = lax.cond(early, by_batch, by_average, *args)
        (loss, kept), grads = lax.pmean(found, _AXIS)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        # No optimiser moves the statistics, not even by weight decay.
        params = with_statistics(optax.apply_updates(state.params, updates), kept)
        ema = optax.incremental_update(params, state.ema, 1 - config.ema)
        return TrainState(step=state.step + 1, params=params, ema=ema, opt_state=opt_state), loss

    # An accelerator must not wait for the host at every step. XLA's CPU compiler leaves its fast
    # convolutions inside a loop or a branch (a step takes 40 times as long and more): there, the host
    # loops and branches.
    looped = jax.default_backend() != "cpu"
    one = step if seeds is None else jax.vmap(step, (_RUNS, None, 0, None), (_RUNS, 0))

    def steps(
        state: TrainState, pool: Pool, seed: jax.Array, _: jax.Array, *, early: bool
    ) -> tuple[TrainState, jax.Array]:
        if not looped:
            return step(state, pool, seed, early)
        return lax.scan(
            lambda carry, _: one(carry, pool, seed, carry.step < frozen_from),
            state,
            None,
            length=config.steps_per_call,
        )

    # pmap wants one argument with an axis of devices, and nothing here differs between them.
    mapped = {
        early: jax.pmap(
            functools.partial(steps, early=early),
            axis_name=_AXIS,
            in_axes=(None, None, None, 0),
            out_axes=(None, None),
            donate_argnums=0,
        )
        for early in (True, False)
    }
    ranks = jnp.arange(jax.local_device_count())
    keys = np.asarray(config.seed if seeds is None else seeds).astype(np.uint32)

    def host_loop(state: TrainState, pool: Pool, seed: np.ndarray) -> tuple[TrainState, jax.Array]:
        first, losses = int(state.step), []
        normed = bool(config.batch_statistics and statistics(state.params))
        for i in range(first, first + config.steps_per_call):
            early = normed and i < frozen_from
            state, loss = mapped[early](state, pool, seed, ranks)
            losses.append(loss)
        return state, jnp.stack(losses)

    def run(state: TrainState, pool: Pool) -> tuple[TrainState, jax.Array]:
        if looped:
            return mapped[False](state, pool, keys, ranks)
        if seeds is None:
            return host_loop(state, pool, keys)
        # On a CPU, convolutions with a kernel a run are slower together than one after another.
        states, losses = zip(
            *(host_loop(unstack_state(state, i), pool, key) for i, key in enumerate(keys)),
            strict=True,
        )
        return stack_states(states), jnp.stack(losses, axis=1)

    return run


_RUNS = TrainState(step=None, params=0, ema=0, opt_state=0)  # type: ignore[arg-type]
"""The axis of runs in each part of the state of several."""


def stack_states(states: Sequence[TrainState]) -> TrainState:
    """The state of several runs that have done equally many steps."""
    return jax.tree.map(lambda *x: jnp.stack(x), *states).replace(step=states[0].step)


def unstack_state(state: TrainState, run: int) -> TrainState:
    """The state of one run of several; all of it is copied, since a step gives its buffers away."""
    parts = state.params, state.ema, state.opt_state
    return TrainState(jnp.copy(state.step), *jax.tree.map(lambda x: x[run], parts))


def _charbonnier(error: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    return jnp.mean(jnp.sqrt(error**2 + epsilon**2))


_LOSSES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "l1": lambda error: jnp.mean(jnp.abs(error)),
    "l2": lambda error: jnp.mean(error**2),
    "charbonnier": _charbonnier,
}
