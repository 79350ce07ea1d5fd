"""The one training loop: stages of steps, with what is logged, measured and saved on the way.

    stage = Stage(trainer=trainer, read_feed=lambda: feed, steps=2_000, steps_per_call=100)
    state = fit([stage], lambda: trainer.init(net.variables), report=print)

A batch travels like this: the feed draws it inside the compiled step, the trainer's update turns it into the
next state and metrics, and `fit` takes the metrics to the log, the state to the checkpoints, and what the
trainer deploys to the evaluator. With a `Run`, the same call resumes from its last checkpoint, and ends with
the weights of a run that was left alone.
"""

import contextlib
import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from sesr_jax.data.feed import Feed, replicate
from sesr_jax.errors import InputError, Stopped
from sesr_jax.files import find_not_finite
from sesr_jax.train import processes
from sesr_jax.train.log import Log
from sesr_jax.train.run import Run
from sesr_jax.train.saving import name_arrays
from sesr_jax.train.steps import Steps, compile_steps
from sesr_jax.train.trainer import Metrics, Trainer

Evaluate = Callable[[Any], Mapping[str, float]]
"""From the variables that a trainer deploys to scores by name, such as "psnr"."""

Enter = Callable[[Any, Feed], tuple[Any, Mapping[str, float]]]
"""From the last state of the stage before and this stage's feed to the first state, and values to log."""

Report = Callable[[int, Mapping[str, float]], None]
"""Receives a line of the log: the steps done, and values by name."""


class DivergedError(InputError):
    """A metric or a weight is no longer finite.

    Attributes:
      step: the first one with such a metric, or at which a state was to be saved.
      last: the last step that is saved; None where there is none.
    """

    def __init__(self, name: str, value: float, step: int, last: int | None) -> None:
        """Says what has which value, and where."""
        super().__init__(f"the {name} is {value} at step {step}: it must stay finite.")
        self.step, self.last = step, last


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a training.

    Attributes:
      trainer: what a batch does to the state.
      read_feed: makes the feed when the stage begins, so that one stage's images are on the device at a time.
      steps: how many it has.
      seed: of the run, or several seeds for as many runs (see `steps.compile_steps`).
      steps_per_call: compiled together. A call ends at each multiple of it, and at the stage's end.
      eval_every: steps between evaluations, a multiple of `steps_per_call`; one also comes last.
      checkpoint_every: steps between checkpoints, likewise.
      evaluate: measures what is deployed.
      enter: transforms the state when the stage begins; without, it goes on.
      shapes: the state within the stage as shapes, where they differ from those before it.
      schedules: values that are logged by the stage's steps, such as "learning_rate".
      label: what every line of the log carries.
    """

    trainer: Trainer[Any]
    read_feed: Callable[[], Feed]
    steps: int
    seed: int | Sequence[int] = 0
    steps_per_call: int = 1
    eval_every: int | None = None
    checkpoint_every: int | None = None
    evaluate: Evaluate | None = None
    enter: Enter | None = None
    shapes: Any = None
    schedules: Mapping[str, optax.Schedule] = dataclasses.field(default_factory=dict)
    label: Mapping[str, int] = dataclasses.field(default_factory=dict)


def fit(
    stages: Sequence[Stage],
    start: Callable[[], Any],
    *,
    run: Run | None = None,
    report: Report | None = None,
    progress: str | None = None,
) -> Any:
    """Trains through all stages, or goes on from the last checkpoint of `run`, and returns the last state.

    Args:
      stages: what is done, in this order.
      start: makes the state before the first step; where a checkpoint is resumed, it is traced for the shapes
        that stages do not state, and not run.
      run: the folder for checkpoints and the log; without it nothing is written.
      report: receives every line of the log.
      progress: the title of a progress bar; none is shown without.

    Raises:
      DivergedError: a metric, or a weight to be saved, is no longer finite.
      InputError: data or checkpoints cannot be read, or what a trainer or feed refuses.
      Stopped: SIGTERM or Ctrl-C came; the state is saved.
    """
    ends = np.cumsum([stage.steps for stage in stages]).tolist()
    if run is None or run.last is None:
        state, reached = start(), -1
    else:
        reached = next((i for i, end in enumerate(ends) if run.last <= end), len(stages) - 1)
        known = [stage.shapes for stage in stages[: reached + 1] if stage.shapes is not None]
        state = run.restore(known[-1] if known else jax.eval_shape(start))
    if (done := int(state.step)) >= ends[-1]:
        return state
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Log(run.folder, done, reached)) if run else None
        bar = stack.enter_context(
            tqdm(total=ends[-1], initial=done, desc=progress, unit="step", disable=not progress)
        )

        def write(step: int, values: Mapping[str, float]) -> None:
            if log:
                log.write(step, **values)
            if report:
                report(step, values)

        for index, (stage, end) in enumerate(zip(stages, ends, strict=True)):
            if index > reached or int(state.step) < end:
                feed = stage.read_feed()
                if index > reached and stage.enter:
                    state, changes = stage.enter(state, feed)
                    if changes:
                        write(end - stage.steps, {**stage.label, **changes})
                state = replicate(processes.broadcast(state))
                state = _train(stage, end, feed, state, run, write, bar)
    return state


def _train(
    stage: Stage, end: int, feed: Feed, state: Any, run: Run | None, write: Report, bar: tqdm
) -> Any:
    """Takes `state` to the last step of `stage`, which is the run's step `end`, unless asked to stop."""
    start, done = end - stage.steps, int(state.step)
    parts = _cut(range(done, end), stage.steps_per_call)

    @functools.cache
    def compile_call(count: int) -> Steps:
        return compile_steps(stage.trainer, feed, seed=stage.seed, per_call=count)

    rates = _tabulate(stage.schedules, [part.stop for part in parts], start)
    unread: list[tuple[range, Metrics]] = []
    shown: dict[str, str] = {}
    clock, since = time.perf_counter(), done
    for part, data in zip(parts, feed.calls(parts), strict=True):
        state, metrics = compile_call(len(part))(state, data, done - start)
        done = part.stop
        unread.append((part, metrics))
        evaluates = bool(stage.evaluate) and _is_due(stage.eval_every, done, end)
        saves = _is_due(stage.checkpoint_every, done, end)
        stops = run.find_signal() if run else None
        # The metrics of a call are read while the device is at the next one, but before anything is saved.
        waits = not (evaluates or saves or stops or done == end)
        while len(unread) > waits:
            steps, values = unread.pop(0)
            means = _mean_finite(steps.stop, values, run.last if run else None)
            write(steps.stop, {**stage.label, **means, **rates[steps.stop]})
            shown |= {name: f"{value:.5f}" for name, value in means.items()}
            bar.update(len(steps))  # which the device has done, and not only begun
        if evaluates:
            speed = (done - since) / (time.perf_counter() - clock)
            scores = _evaluate(stage, done, state, run)
            write(done, {**stage.label, **scores, "steps_per_second": speed})
            shown |= {name: f"{value:.4g}" for name, value in scores.items()}
            if stage.label and done == end:
                write(done, {**stage.label, **{f"stage_{k}": v for k, v in scores.items()}})
        if run and (saves or stops):
            _save(stage, done, state, run)
        if run and stops:
            run.wait()
            raise Stopped(
                f"asked to end, and stopped after step {done}, which is saved; the same command resumes it.",
                stops,
            )
        if not waits:
            clock, since = time.perf_counter(), done
        bar.set_postfix(shown, refresh=False)
    if run:
        run.wait()
    return state


def _cut(steps: range, per_call: int) -> list[range]:
    """Returns the calls that do `steps`: each ends at a multiple of `per_call`, but for the last."""
    ends = [
        *range(steps.start - steps.start % per_call + per_call, steps.stop, per_call),
        steps.stop,
    ]
    return [range(*pair) for pair in itertools.pairwise([steps.start, *ends])]


def _is_due(every: int | None, done: int, end: int) -> bool:
    return every is not None and (done % every == 0 or done == end)


def _tabulate(
    schedules: Mapping[str, optax.Schedule], steps: Sequence[int], start: int
) -> dict[int, dict[str, float]]:
    """Returns the values of schedules by step.

    They are computed beforehand: asked for on the way, each would wait for the call that the device is at.
    """
    columns = {
        name: np.asarray(jax.vmap(schedule)(jnp.asarray(steps) - start)).tolist()
        for name, schedule in schedules.items()
        if len(steps)
    }
    return {
        step: {name: column[i] for name, column in columns.items()} for i, step in enumerate(steps)
    }


def _mean_finite(step: int, metrics: Metrics, last: int | None) -> dict[str, float]:
    """Returns the mean of each metric over the steps of a call, and over the runs where there are several.

    Raises:
      DivergedError: one of them is not finite; `step` is the call's last.
    """
    means = {}
    for name, values in metrics.items():
        by_step = np.asarray(values).reshape(len(values), -1)
        wrong = np.argwhere(~np.isfinite(by_step))
        if len(wrong):
            first, run = wrong[0]
            number = step - len(by_step) + int(first) + 1
            raise DivergedError(name, float(by_step[first, run]), number, last)
        means[name] = float(np.mean(by_step))
    return means


def _evaluate(stage: Stage, done: int, state: Any, run: Run | None) -> Mapping[str, float]:
    """Returns the scores of what is deployed; where that fails, the state is saved first."""
    assert stage.evaluate is not None
    try:
        return stage.evaluate(stage.trainer.get_deployed(state))
    except InputError:  # of an image that cannot be read: what was trained is not lost
        if run:
            _save(stage, done, state, run)
            run.wait()
        raise


def _save(stage: Stage, done: int, state: Any, run: Run) -> None:
    """Saves the state of step `done`.

    Raises:
      DivergedError: a weight is not finite; the state is not saved.
    """
    arrays = name_arrays(stage.trainer.get_deployed(state))
    if wrong := find_not_finite(arrays):
        value = float(arrays[wrong][~np.isfinite(arrays[wrong])][0])
        raise DivergedError(f"weight {wrong}", value, done, run.last)
    run.save(done, state)
