"""Stages: what a run of several parts changes between them, and the state that each part has.

    stages = plan(config)
    state = enter(stages[1], state)     # at the end of stage 0

A stage begins with the averaged weights of the one before, transformed by its entry. Steps count on over
the whole run, so that every step has crops of its own; the learning rate's schedule counts from the
stage's first step; and the optimiser and the average start afresh. The exception is "grow_basis" under
the same optimiser: there its moments of the old kernels stay, with their count, since bias correction
must know how many gradients they saw. Those of the new kernels start at zero and under that count take
larger steps at first (up to 6.6 times, for Adam's defaults), for which a stage may have a warm-up.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from flax import linen as nn

from sesr_jax import reparam
from sesr_jax.graph import trace
from sesr_jax.quant import RANGES, points
from sesr_jax.train.config import staged
from sesr_jax.train.objective import scheme
from sesr_jax.train.optim import optimizer
from sesr_jax.train.state import TrainState, init_state


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a run.

    Attributes:
      index: 0 for the first.
      start: the run's steps before it.
      end: the run's steps after it.
      config: the settings that hold in it.
      entry: what happens to the parameters when it begins, a key of `config.ENTRIES`.
      added: how many kernels "grow_basis" adds to every basis; 0 for other entries.
      preserve: whether "grow_basis" keeps the function.
    """

    index: int
    start: int
    end: int
    config: ml_collections.ConfigDict
    entry: str = "none"
    added: int = 0
    preserve: bool = True

    @property
    def label(self) -> dict[str, int]:
        """What its lines of the log carry: nothing where the config has no stages."""
        return {"stage": self.index} if self.config.get("stages") else {}


def plan(config: ml_collections.ConfigDict) -> tuple[Stage, ...]:
    """The stages of a run, one where the config has none.

    Raises:
      InputError: as `config.staged`.
    """
    stages: list[Stage] = []
    listed: Sequence[Mapping[str, Any]] = config.get("stages") or ({},)
    for changes, settings in zip(listed, staged(config), strict=True):
        start = stages[-1].end if stages else 0
        entry = {key: changes[key] for key in ("entry", "added", "preserve") if key in changes}
        stages.append(
            Stage(
                index=len(stages), start=start, end=start + settings.steps, config=settings, **entry
            )
        )
    return tuple(stages)


Measure = Callable[[Any], Mapping[str, jax.Array]]
"""From a network's variables to the ranges, ``[2]`` by group, with which it begins to be quantised."""


def transform(stage: Stage, variables: Any, measure: Measure) -> Any:
    """The variables with which `stage` begins, from those with which the one before ended.

    Raises:
      InputError: there is no basis to grow.
    """
    if stage.entry == "collapse":
        return reparam.collapse(variables)
    if stage.entry == "grow_basis":
        # Counted down from the last, since the steps' keys are counted up from 0.
        key = jax.random.fold_in(jax.random.key(stage.config.seed), 2**32 - 1 - stage.index)
        return reparam.grow_basis(variables, key, stage.added, preserve=stage.preserve)
    if stage.entry == "quantise":
        return {**variables, RANGES: measure(variables)}
    return variables


def enter(stage: Stage, state: TrainState, measure: Measure) -> TrainState:
    """The state before the first step of `stage`, from the last one of the stage before.

    Raises:
      InputError: as `transform`.
    """
    fresh = init_state(transform(stage, state.ema, measure), optimizer(stage.config))
    opt_state = fresh.opt_state
    if stage.entry == "grow_basis":
        opt_state = _carried(reparam.pad_basis(state.opt_state, stage.added), opt_state)
    return dataclasses.replace(fresh, step=state.step, opt_state=opt_state)


def _carried(old: Any, fresh: Any) -> Any:
    """The optimiser's state `old` under the schedule of `fresh`; `fresh` where the optimiser is another."""
    if jax.tree.structure(old) != jax.tree.structure(fresh):  # type: ignore[operator]
        return fresh

    def is_schedule(x: Any) -> bool:
        return isinstance(x, optax.ScaleByScheduleState)

    return jax.tree.map(lambda f, o: f if is_schedule(f) else o, fresh, old, is_leaf=is_schedule)


def state_shapes(module: nn.Module, stages: Sequence[Stage], variables: Any) -> list[TrainState]:
    """The state of every stage as shapes, from the fresh variables: what its checkpoints hold.

    Raises:
      InputError: as `enter`, or the scheme does not suit the network; before any work is done.
    """
    state = jax.eval_shape(lambda v: init_state(v, optimizer(stages[0].config)), variables)
    shapes = []
    for stage in stages:

        def blank(variables: Any, stage: Stage = stage) -> Mapping[str, jax.Array]:
            graph = trace(module, variables, (1, 8, 8, getattr(module, "channels", 1)))
            groups = points(graph, scheme(stage.config)).group.values()
            return {group: jnp.zeros(2) for group in groups}

        state = jax.eval_shape(functools.partial(enter, stage, measure=blank), state)
        shapes.append(state)
    return shapes


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """The stage that does the step which ends with `step` done; the last one for all beyond."""
    return next((stage for stage in stages if step <= stage.end), stages[-1])


def largest_change(before: Any, after: Any) -> float:
    """The largest difference of a collapsed parameter between two sets of one network's variables."""
    differences = jax.tree.map(
        lambda a, b: jnp.max(jnp.abs(a - b)),
        *(reparam.collapse(variables["params"]) for variables in (before, after)),
    )
    return float(max(jax.tree.leaves(differences)))
