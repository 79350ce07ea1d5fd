"""Compiled training steps: what a feed draws, a trainer's update, on all devices, several steps at once.

    run = compile_steps(trainer, feed, seed=0, per_call=100)
    state, metrics = run(state, data, 0)            # `data` as `feed.calls` yields it

The state is never replicated by hand: pmap broadcasts it and gives it back whole, so that it goes to a
checkpoint as it is. Every device, of whatever process, draws its share of one batch, so that any number of
them computes the same step.
"""

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax.data.feed import Feed
from sesr_jax.errors import InputError
from sesr_jax.train.cpu import is_fast_in_loops
from sesr_jax.train.state import stack_states, unstack_state
from sesr_jax.train.trainer import AXIS, Metrics, Trainer

Steps = Callable[[Any, Any, int], tuple[Any, Metrics]]
"""From a state, what these steps read, and how many of the stage's steps are done (which the host knows
without waiting for the device) to the next state, and the metrics of each step."""


def check_batch(batch: int) -> None:
    """Checks that all devices get equal shares of a batch.

    Raises:
      InputError: they do not.
    """
    if batch % (devices := jax.device_count()):
        raise InputError(
            f"config.data.batch is {batch}: it must be a multiple of the {devices} devices."
        )


def compile_steps(
    trainer: Trainer[Any], feed: Feed, *, seed: int | Sequence[int], per_call: int
) -> Steps:
    """Returns a function that does `per_call` steps and returns their metrics, each ``[steps]``.

    Args:
      trainer: whose updates are done.
      feed: what gives them their crops.
      seed: of the run; or several seeds for as many runs, one after another. Every array of the state but
        `step` then has an axis of runs before its own (see `stack_states`), and metrics are
        ``[steps, runs]``.
      per_call: steps that are done in one call.

    Raises:
      InputError: the devices cannot share the batch.
    """
    check_batch(feed.batch)
    # jax keeps what a compiled function refers to, and must not keep the feed's images.
    draw, data_axis = feed.draw, feed.data_axis
    several = not isinstance(seed, int)
    seeds = np.asarray(seed).astype(np.uint32)

    def step(
        state: Any, data: Any, seed: jax.Array, rank: jax.Array, phase: Hashable
    ) -> tuple[Any, Metrics]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        batch = draw(data, key, state.step, (rank, jax.device_count()))
        return trainer.update(state, batch, phase)

    def steps(
        state: Any, data: Any, seed: jax.Array, rank: jax.Array, *, phase: Hashable, scanned: bool
    ) -> tuple[Any, Metrics]:
        one = functools.partial(step, phase=phase)
        if not scanned:
            return one(state, data, seed, rank)
        return lax.scan(lambda state, _: one(state, data, seed, rank), state, None, length=per_call)

    @functools.cache
    def compiled(phase: Hashable, scanned: bool) -> Callable[..., tuple[Any, Metrics]]:
        return jax.pmap(
            functools.partial(steps, phase=phase, scanned=scanned),
            axis_name=AXIS,
            in_axes=(None, data_axis, None, 0),
            out_axes=(None, None),
            donate_argnums=0,
        )

    local = jax.local_device_count()
    ranks = jax.process_index() * local + jnp.arange(local)
    scans: dict[Hashable, bool] = {}

    def is_scanned(state: Any, data: Any, phase: Hashable) -> bool:
        """Returns whether the device loops over the steps, and not the host."""
        mine = data if data_axis is None else jax.tree.map(lambda x: x[0], data)
        key = jax.eval_shape(lambda: jax.random.key(0))
        batch = jax.eval_shape(draw, mine, key, state.step)
        return is_fast_in_loops(
            lambda state, batch: trainer.compute_losses(state, batch, phase), state, batch
        )

    def call(state: Any, data: Any, seed: np.ndarray, phase: Hashable) -> tuple[Any, Metrics]:
        if phase not in scans:
            scans[phase] = is_scanned(state, data, phase)
        run = compiled(phase, scans[phase])
        if scans[phase]:
            return run(state, data, seed, ranks)
        metrics = []
        for _ in range(per_call):
            state, some = run(state, data, seed, ranks)
            metrics.append(some)
        return state, jax.tree.map(lambda *x: jnp.stack(x), *metrics)

    def run_all(state: Any, data: Any, done: int) -> tuple[Any, Metrics]:
        phase = trainer.get_phase(state, done)
        if not several:
            return call(state, data, seeds, phase)
        states, metrics = zip(
            *(call(unstack_state(state, i), data, one, phase) for i, one in enumerate(seeds)),
            strict=True,
        )
        return stack_states(states), jax.tree.map(lambda *x: jnp.stack(x, axis=1), *metrics)

    return run_all
