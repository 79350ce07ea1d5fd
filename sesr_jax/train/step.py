"""The training step: crops, loss, gradients, update and average, several steps in one compiled call.

    run = make_steps(module, optimizer(config), config)
    state, losses = run(state, pool, 0)

A model with batch norms starts on its batches' own statistics and ends on their frozen averages; one with
quantised tensors starts on ranges that follow what they hold and ends on frozen ones.

The state is never replicated by hand: pmap broadcasts it and gives it back whole, so that it goes to a
checkpoint as it is. Every device, of whatever process, draws its share of one batch, so that any number of
them computes the same step, but for what each measures by itself on its share: batch norms' statistics and
ranges, whose mean over the devices counts.
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
from jax import lax

from sesr_jax.data.colour import to_channels
from sesr_jax.data.pool import Pool, sample, scale_intensities
from sesr_jax.data.stream import Crops, unpack
from sesr_jax.errors import InputError
from sesr_jax.quant import RANGES
from sesr_jax.reparam import statistics
from sesr_jax.train.cpu import is_fast_in_loops, make_gradient, runs_together
from sesr_jax.train.distill import make_target
from sesr_jax.train.objective import Phase, make_objective, restored
from sesr_jax.train.state import RUNS, TrainState, stack_states, unstack_state

_AXIS = "batch"

Steps = Callable[[TrainState, Pool | Crops, int], tuple[TrainState, jax.Array]]
"""From a state, the training set or its crops for these steps, and the steps that the state has behind it
(which the host knows without waiting for the device) to the next state, and the losses on the way."""


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
      InputError: the batch cannot be shared out among the devices; or as `distill.make_target`.
    """
    devices, batch = jax.device_count(), config.data.batch
    if batch % devices:
        raise InputError(
            f"config.data.batch is {batch}: it must be a multiple of the {devices} devices; choose one."
        )
    channels = getattr(module, "channels", 1)
    target = make_target(config, channels)
    objective = make_objective(module, config)
    gradient = make_gradient(objective, module, jnp.dtype(config.dtype))

    def step(
        state: TrainState, data: Pool | Crops, seed: jax.Array, rank: jax.Array, phase: Phase
    ) -> tuple[TrainState, jax.Array]:
        key, share = jax.random.fold_in(jax.random.key(seed), state.step), (rank, devices)
        crops = (
            sample(data, key, batch, share=share)
            if isinstance(data, Pool)
            else unpack(data, state.step)
        )
        crops = scale_intensities(crops, key, batch, config.data.intensities, share=share)
        lr, hr = (to_channels(x, channels) for x in crops)
        found = gradient(state.variables, lr, target(lr, hr), phase)
        (loss, seen), grads = lax.pmean(found, _AXIS)
        updates, opt_state = tx.update(grads, state.opt_state, state.variables)
        variables = restored(optax.apply_updates(state.variables, updates), seen)
        ema = optax.incremental_update(variables, state.ema, 1 - config.ema)
        return TrainState(
            step=state.step + 1, variables=variables, ema=ema, opt_state=opt_state
        ), loss

    together = seeds is not None and runs_together()

    def steps(
        state: TrainState,
        data: Pool | Crops,
        seed: jax.Array,
        rank: jax.Array,
        *,
        phase: Phase,
        looped: bool,
    ) -> tuple[TrainState, jax.Array]:
        one = functools.partial(step, phase=phase)
        if not looped:
            return one(state, data, seed, rank)
        if together:
            one = jax.vmap(one, (RUNS, None, 0, None), (RUNS, 0))
        return lax.scan(
            lambda carry, _: one(carry, data, seed, rank), state, None, length=config.steps_per_call
        )

    @functools.cache
    def mapped(
        phase: Phase, of_data: int | None, looped: bool
    ) -> Callable[..., tuple[TrainState, jax.Array]]:
        return jax.pmap(
            functools.partial(steps, phase=phase, looped=looped),
            axis_name=_AXIS,
            in_axes=(None, of_data, None, 0),
            out_axes=(None, None),
            donate_argnums=0,
        )

    local = jax.local_device_count()
    ranks = jax.process_index() * local + jnp.arange(local)
    keys = np.asarray(config.seed if seeds is None else seeds).astype(np.uint32)

    def fast(phase: Phase, variables: Any) -> bool:
        lr = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
        hr = jax.eval_shape(module.apply, variables, lr)
        return is_fast_in_loops(
            lambda v, x, y: objective(v, x, target(x, y), phase), variables, lr, hr
        )

    looped: dict[Phase, bool] = {}

    def run(state: TrainState, data: Pool | Crops, done: int) -> tuple[TrainState, jax.Array]:
        phase = _phase(state, config, done - start)

        def call(state: TrainState, seed: np.ndarray) -> tuple[TrainState, jax.Array]:
            if phase not in looped:
                looped[phase] = together or fast(phase, state.variables)
            # Every device has all of a pool, and its own of crops.
            act = mapped(phase, None if isinstance(data, Pool) else 0, looped[phase])
            if looped[phase]:
                return act(state, data, seed, ranks)
            losses = []
            for _ in range(config.steps_per_call):
                state, loss = act(state, data, seed, ranks)
                losses.append(loss)
            return state, jnp.stack(losses)

        if seeds is None or together:
            return call(state, keys)
        states, losses = zip(
            *(call(unstack_state(state, i), key) for i, key in enumerate(keys)), strict=True
        )
        return stack_states(states), jnp.stack(losses, axis=1)

    return run


def placed(tree: Any) -> Any:
    """`tree` on all devices of this process, where `Steps` would else copy it to at every call."""
    if jax.device_count() == 1:
        return tree
    here = jax.sharding.Mesh(np.array(jax.local_devices()), (_AXIS,))
    return jax.device_put(tree, jax.sharding.NamedSharding(here, jax.sharding.PartitionSpec()))


def _phase(state: TrainState, config: ml_collections.ConfigDict, done: int) -> Phase:
    """That of a call which begins after `done` of the config's steps; only whole calls have one."""

    def before(share: float) -> bool:
        return done < share * config.steps

    return Phase(
        by_batch=before(config.batch_statistics) and bool(statistics(state.variables["params"])),
        moving=before(config.quant.moving) and RANGES in state.variables,
    )
