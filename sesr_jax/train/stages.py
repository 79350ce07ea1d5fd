"""The stages that a config lists: their settings, and how a state passes from one to the next.

    stages = plan(config)
    state = enter(stages[1], trainers, state, measure)      # at the end of stage 0

Steps count on over the whole run, so that every step has crops of its own; the learning rate's schedule
counts from the stage's first step. `train.entries` says what happens to the variables between two stages.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from flax import linen as nn

from sesr_jax import reparam
from sesr_jax.graph import SAMPLE_SIDE, trace
from sesr_jax.quant import find_points
from sesr_jax.train.config import list_stage_settings
from sesr_jax.train.entries import Entry, Measure, make_entry
from sesr_jax.train.objective import get_scheme
from sesr_jax.train.trainer import Trainer


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One part of a run, as the config describes it.

    Attributes:
      index: 0 for the first.
      start: the run's steps before it.
      end: the run's steps after it.
      config: the settings that hold in it.
      entry: how it begins.
    """

    index: int
    start: int
    end: int
    config: ml_collections.ConfigDict
    entry: Entry

    @property
    def label(self) -> dict[str, int]:
        """What its lines of the log carry: nothing where the config has no stages."""
        return {"stage": self.index} if self.config.get("stages") else {}


def plan(config: ml_collections.ConfigDict) -> tuple[StagePlan, ...]:
    """Returns the stages of a run, one where the config has none.

    Raises:
      InputError: as `config.list_stage_settings`.
    """
    stages: list[StagePlan] = []
    listed: Sequence[Mapping[str, Any]] = config.get("stages") or ({},)
    for changes, settings in zip(listed, list_stage_settings(config), strict=True):
        start = stages[-1].end if stages else 0
        stages.append(
            StagePlan(
                index=len(stages),
                start=start,
                end=start + settings.steps,
                config=settings,
                entry=make_entry(changes),
            )
        )
    return tuple(stages)


def enter(
    stage: StagePlan, trainers: tuple[Trainer[Any], Trainer[Any]], state: Any, measure: Measure
) -> Any:
    """Returns the state before the first step of `stage`, from the last one of the stage before.

    Args:
      stage: the stage that begins.
      trainers: of the stage before and of this one.
      state: of the first of them.
      measure: gives ranges of tensors.

    Raises:
      InputError: as `Entry.transform`.
    """
    # Counted down from the last, since the steps' keys are counted up from 0.
    key = jax.random.fold_in(jax.random.key(stage.config.seed), 2**32 - 1 - stage.index)
    before, after = trainers
    variables = stage.entry.transform(before.get_deployed(state), key, measure)
    return after.go_on(state, variables, stage.entry.carry)


def pair_trainers(trainers: Sequence[Trainer[Any]]) -> Iterator[tuple[Trainer[Any], Trainer[Any]]]:
    """Yields for each stage the trainers of the one before and of itself; the first begins with its own."""
    return itertools.pairwise([trainers[0], *trainers])


def eval_state_shapes(
    module: nn.Module,
    stages: Sequence[StagePlan],
    trainers: Sequence[Trainer[Any]],
    variables: Any,
) -> list[Any]:
    """Returns the state of every stage as shapes: what its checkpoints hold.

    Args:
      module: the network.
      stages: of the run.
      trainers: theirs.
      variables: the fresh ones, or their shapes.

    Raises:
      InputError: as `enter`, or the scheme does not suit the network; before any work is done.
    """
    state = jax.eval_shape(trainers[0].init, variables)
    shapes = []
    for stage, pair in zip(stages, pair_trainers(trainers), strict=True):

        def blank(variables: Any, stage: StagePlan = stage) -> Mapping[str, jax.Array]:
            graph = trace(module, variables, (1, SAMPLE_SIDE, SAMPLE_SIDE, module.channels))
            groups = find_points(graph, get_scheme(stage.config)).group.values()
            return {group: jnp.zeros(2) for group in groups}

        state = jax.eval_shape(functools.partial(enter, stage, pair, measure=blank), state)
        shapes.append(state)
    return shapes


def find_stage(stages: Sequence[StagePlan], step: int) -> StagePlan:
    """Returns the stage that does the step which ends with `step` done; the last one for all beyond."""
    return next((stage for stage in stages if step <= stage.end), stages[-1])


def measure_largest_change(before: Any, after: Any) -> float:
    """Returns the largest difference of a collapsed parameter between two sets of a network's variables."""
    differences = jax.tree.map(
        lambda a, b: jnp.max(jnp.abs(a - b)),
        *(reparam.collapse(variables["params"]) for variables in (before, after)),
    )
    return float(max(jax.tree.leaves(differences)))
