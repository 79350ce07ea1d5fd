"""The training loop: from a config and a folder to a trained, collapsed network.

    network = train(config, "runs/sesr_m5_x2")

The same call again resumes from the last checkpoint, and a killed run ends with the same weights as one
that was left alone: the batch of a step depends on the seed and the step alone. Several processes that make
the call together (`train.processes`) train one network.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import linen as nn
from jax.experimental import multihost_utils
from tqdm import tqdm

from sesr_jax import quant, reparam
from sesr_jax.data.colour import to_channels
from sesr_jax.data.pool import Pool, make_pool, sample
from sesr_jax.data.sources import ImagePair, source
from sesr_jax.data.stream import Stream, make_stream, pool_bytes
from sesr_jax.errors import InputError, Stopped
from sesr_jax.files import lock_folder
from sesr_jax.graph import extent, trace
from sesr_jax.metrics.evaluate import evaluate, mean
from sesr_jax.metrics.protocol import native_protocol
from sesr_jax.models import network
from sesr_jax.train import checkpoint, processes
from sesr_jax.train.config import validate
from sesr_jax.train.log import Log
from sesr_jax.train.objective import scheme
from sesr_jax.train.optim import optimizer, schedule
from sesr_jax.train.stage_page import write_page
from sesr_jax.train.stages import (
    Measure,
    Stage,
    enter,
    largest_change,
    plan,
    stage_at,
    state_shapes,
)
from sesr_jax.train.state import TrainState, init_state
from sesr_jax.train.step import Steps, make_steps, placed

_log = logging.getLogger(__name__)

Stepper = Callable[[TrainState, int], tuple[TrainState, jax.Array]]
Evaluator = Callable[[Any], dict[str, float]]

WEIGHTS = "model.safetensors"
"""The collapsed network in a finished run's folder."""

_CALIBRATION_CROPS = 64
_TRACED = 240  # pixels; a multiple of every stride and block in use

# In bytes: what the pool's indices reach.
_LARGEST_POOL = 3 * 2**31

EXPANDED = "expanded.safetensors"
"""The network as it was trained, beside it."""


def train(
    config: ml_collections.ConfigDict, run: str | os.PathLike[str], *, progress: bool = True
) -> network.Network:
    """Trains, or goes on training, the run in the folder `run`.

    Args:
      config: as `train.config.base`.
      run: gets the config, checkpoints, the log and at last the collapsed weights, `WEIGHTS`; a run of
        several stages (`train.stages`) also gets a page about them.
      progress: shows a progress bar.

    Returns:
      The trained network (its averaged weights where the config asks for averaging), as it was trained:
      expanded, but for stages behind a collapse.

    Raises:
      InputError: the config does not make sense, the data does not suit it, the folder holds another
        run or a damaged checkpoint or another process trains there, or the loss is no longer finite.
      Stopped: SIGTERM came; the state is saved.
    """
    if "conditions" in config:
        raise InputError(
            "the config compares conditions, of which a run is one alone; use sesr ablate, or another config."
        )
    validate(config)
    run = pathlib.Path(run)
    fresh = network.init(
        config.model.name,
        scale=config.model.scale,
        key=jax.random.key(config.seed),
        **config.model.options,
    )
    stages = plan(config)
    shapes = state_shapes(fresh.module, stages, fresh.variables)
    works = [_work(fresh, stage) for stage in stages]
    pictures = source(config.data.eval, scale=fresh.scale)
    for index in range(len(pictures)):
        native_protocol(fresh.channels).check_size(
            pictures.name(index), pictures.size(index), fresh.scale
        )

    def begin() -> None:
        held.enter_context(lock_folder(run))
        checkpoint.claim(run, config)

    def finish() -> None:
        network.save(trained, run / EXPANDED, step=str(int(state.step)))
        network.save(trained.collapsed(), run / WEIGHTS, step=str(int(state.step)))
        if config.stages:
            write_page(stages, shapes, run)

    with contextlib.ExitStack() as held:
        processes.told(begin)
        with checkpoint.Checkpoints(run, config.keep) as saved, processes.termination() as asked:
            if saved.last is None:
                state = init_state(_initial(config, fresh), optimizer(stages[0].config))
                reached = -1
            else:
                reached = stage_at(stages, saved.last).index
                state = saved.restore(shapes[reached])
            if (done := int(state.step)) < stages[-1].end:
                processes.told(functools.partial(checkpoint.note_hardware, run))
                with Log(run, done, reached) as log, _bar(config, stages, done, progress) as bar:
                    for stage, work in zip(stages, works, strict=True):
                        if stage.index > reached or int(state.step) < stage.end:
                            evaluate = _evaluator(fresh, stage, pictures)
                            entering = stage.index > reached
                            state = work(state, entering, evaluate, asked, saved, log, bar)
        trained = dataclasses.replace(
            fresh, variables=jax.device_get(state.ema), scheme=scheme(stages[-1].config)
        )
        processes.told(finish)  # the others wait: whoever leaves early is taken for dead
    return trained


def _work(fresh: network.Network, stage: Stage) -> Callable[..., TrainState]:
    """Does `stage`; what cannot be is refused now, and the data is read when it is done.

    So only one stage's training set at a time is on the device.
    """
    wanted = stage.config.data
    pictures = source(wanted.train, scale=fresh.scale)
    tx = optimizer(stage.config)
    steps = make_steps(fresh.module, tx, stage.config, start=stage.start)
    part = (0, 1) if wanted.shards == 1 else (jax.process_index(), jax.process_count())
    if wanted.shards % part[1]:
        raise InputError(
            f"config.data.shards is {wanted.shards}: it must be 1 or a multiple of the {part[1]} processes; "
            "choose one."
        )
    options: dict[str, Any] = {"scale": fresh.scale, "shards": wanted.shards, "part": part}
    options |= {"patch": wanted.patch, "small": wanted.small}
    if stage.index:  # whose images are read hours later
        make_stream(pictures, **options, where=f"config.stages[{stage.index}].data.patch")
    size = pool_bytes(pictures, fresh.scale, wanted.shards, part)
    streamed = size > min(wanted.device_bytes, _LARGEST_POOL)
    _log.info(
        "%d images of %s take %.3g MB as pixels: they are %s",
        *(len(pictures), wanted.train, size / 1e6),
        "read from their files, crop by crop" if streamed else "kept on the device",
    )

    def work(
        state: TrainState,
        entering: bool,
        evaluate: Evaluator,
        asked: Callable[[], bool],
        saved: checkpoint.Checkpoints,
        log: Log,
        bar: tqdm,
    ) -> TrainState:
        data: Pool | Stream = (make_stream if streamed else make_pool)(pictures, **options)
        if entering:
            measure = functools.partial(_measure, fresh.module, stage, data)
            state = _enter(stage, state, measure, evaluate, log)
        state = placed(processes.shared(state))
        do = functools.partial(_run, stage, state, _stepper(steps, data, stage, int(state.step)))
        return do(evaluate, asked, saved, log, bar)

    return work


def _stepper(do: Steps, data: Pool | Stream, stage: Stage, done: int) -> Stepper:
    """`do` on that data, from `done` steps on."""
    if isinstance(data, Pool):
        pool = placed(data)
        return lambda state, done: do(state, pool, done)
    calls = data.calls(
        seed=stage.config.seed,
        batch=stage.config.data.batch,
        steps=range(done, stage.end),
        per_call=stage.config.steps_per_call,
        part=(jax.process_index(), jax.process_count()),
    )
    return lambda state, done: do(state, next(calls), done)


def _measure(
    module: nn.Module, stage: Stage, data: Pool | Stream, variables: Any
) -> dict[str, jax.Array]:
    """The ranges with which a network begins to be quantised, from a batch of its training crops."""
    count = -(-_CALIBRATION_CROPS // data.shards) * data.shards
    part = (0, 1)
    if data.shards > 1:  # the others hold other images
        part = (jax.process_index(), jax.process_count())
    draw = sample if isinstance(data, Pool) else Stream.sample
    crops, _ = draw(data, jax.random.key(stage.config.seed), count, share=part)  # type: ignore[arg-type]
    if part[1] > 1:
        crops = multihost_utils.process_allgather(crops, tiled=True)
    x = np.asarray(to_channels(crops, getattr(module, "channels", 1)))
    found = quant.calibrate(
        trace(module, variables, x.shape), [x], scheme(stage.config), stage.config.quant.observer
    )
    return {group: jnp.asarray(ends, jnp.float32) for group, ends in found.items()}


def _enter(
    stage: Stage, state: TrainState, measure: Measure, evaluate: Evaluator, log: Log
) -> TrainState:
    """The state with which `stage` begins; logs what its entry does to the function."""
    entered = enter(stage, state, measure)
    if stage.entry == "none":
        return entered
    change = largest_change(state.ema, entered.ema)
    before, after = (evaluate(variables)["psnr"] for variables in (state.ema, entered.ema))
    log.write(
        stage.start, **stage.label, kernel_change=change, psnr_before=before, psnr_after=after
    )
    _log.info(
        "stage %d enters by %s: the collapsed parameters change by up to %.3g, PSNR from %.2f to %.2f dB",
        *(stage.index, stage.entry, change, before, after),
    )
    return entered


def _run(
    stage: Stage,
    state: TrainState,
    steps: Stepper,
    evaluate: Evaluator,
    asked: Callable[[], bool],
    saved: checkpoint.Checkpoints,
    log: Log,
    bar: tqdm,
) -> TrainState:
    """From `state` to the last step of `stage`, or to where the run is asked to end."""
    config, done, shown = stage.config, int(state.step), {}
    ends = range(done + config.steps_per_call, stage.end + 1, config.steps_per_call)
    # Computed now: asked for on the way, each would stand behind the call that the device is at.
    rate = jax.vmap(schedule(config))(jnp.asarray(ends) - stage.start)
    rates = dict(zip(ends, np.asarray(rate).tolist(), strict=True))
    unread: list[tuple[int, jax.Array]] = []
    clock, since = time.perf_counter(), done
    while done < stage.end:
        state, losses = steps(state, done)
        done += config.steps_per_call
        unread.append((done, losses))
        due = {
            key
            for key in ("eval_every", "checkpoint_every")
            if not done % config[key] or done == stage.end
        }
        if stop := asked():
            due.add("checkpoint_every")
        # The losses of a call are read while the device is at the next one, but before anything is saved.
        while len(unread) > (0 if due else 1):
            step, values = unread.pop(0)
            _check_finite(step, np.asarray(values), saved.last)
            loss = float(np.mean(values))
            log.write(step, **stage.label, loss=loss, learning_rate=rates[step])
            shown["loss"] = f"{loss:.5f}"
        if "eval_every" in due:
            speed = (done - since) / (time.perf_counter() - clock)
            try:
                scores = evaluate(state.ema)
            except InputError:  # of a picture that cannot be read: what was trained is not lost
                saved.save(done, state)
                saved.wait()
                raise
            log.write(done, **stage.label, **scores, steps_per_second=speed)
            shown["PSNR"] = f"{scores['psnr']:.2f} dB"
            if stage.label and done == stage.end:
                log.write(done, **stage.label, stage_psnr=scores["psnr"])
        if "checkpoint_every" in due:
            saved.save(done, state)
        if stop:
            saved.wait()
            raise Stopped(
                f"asked to end, and stopped after step {done}, which is saved; the same command resumes it."
            )
        if due:
            clock, since = time.perf_counter(), done
        bar.set_postfix(shown, refresh=False)
        bar.update(config.steps_per_call)
    saved.wait()
    return state


def _initial(config: ml_collections.ConfigDict, fresh: network.Network) -> Any:
    """Fresh variables, or those of `config.init` wherever a part of it has the same shapes.

    So the paper's ×4 starts from the ×2 with a new last layer (Bhardwaj et al. 2022, §5.1).
    """
    params = fresh.variables["params"]
    if not config.init:
        return fresh.variables
    given = network.load(config.init).variables["params"]
    small = [
        name for name, part in params.items() if _collapsed(given.get(name)) > _collapsed(part)
    ]
    if small:
        raise InputError(
            f"config.init {config.init} holds collapsed weights ({', '.join(small)}), where {fresh.name} "
            "trains larger terms; give the expanded ones, such as a run's expanded.safetensors."
        )
    kept = {
        name: given[name]
        for name, part in params.items()
        if name in given and _shapes(given[name]) == _shapes(part)
    }
    if not kept:
        raise InputError(
            f"config.init {config.init} shares no layer with {fresh.name} ×{fresh.scale}: at least one must "
            "have the same shapes; give the expanded weights of a related network."
        )
    _log.info("from %s: %s; fresh: %s", config.init, sorted(kept), sorted(params.keys() - kept))
    return {**fresh.variables, "params": params | kept}


def _collapsed(part: Any) -> bool:
    """Whether a layer's term is the one convolution that it equals."""
    terms = [
        leaf for leaf in jax.tree.leaves(part, is_leaf=reparam.is_term) if reparam.is_term(leaf)
    ]
    return bool(terms) and all(isinstance(term, reparam.Conv) for term in terms)


def _shapes(tree: Any) -> tuple[Any, Any]:
    return jax.tree.map(jnp.shape, jax.tree.leaves(tree)), jax.tree.structure(tree)


def _evaluator(net: network.Network, stage: Stage, pictures: Iterable[ImagePair]) -> Evaluator:
    """Mean PSNR and SSIM on `pictures` as a function of the variables.

    Images whose sides the network cannot take are filled up with their last pixels, and cut off again.
    """
    chosen, protocol = scheme(stage.config), native_protocol(net.channels)
    align = extent(net.graph((1, _TRACED, _TRACED, net.channels))).align

    @jax.jit
    def upscale(variables: Any, x: jax.Array) -> jax.Array:
        return quant.apply(net.module, variables, x[None], chosen)[0]

    def evaluator(variables: Any) -> dict[str, float]:
        deployed = reparam.collapse(variables)

        def upscaler(x: np.ndarray) -> jax.Array:
            height, width = x.shape[:2]
            filled = np.pad(x, ((0, -height % align), (0, -width % align), (0, 0)), "edge")
            return upscale(deployed, filled)[: net.scale * height, : net.scale * width]

        return mean(evaluate(upscaler, pictures, net.scale, protocol))

    return evaluator


def _bar(
    config: ml_collections.ConfigDict, stages: Sequence[Stage], done: int, progress: bool
) -> tqdm:
    title = f"{config.model.name} ×{config.model.scale}"
    return tqdm(total=stages[-1].end, initial=done, desc=title, unit="step", disable=not progress)


def _check_finite(step: int, losses: np.ndarray, last: int | None) -> None:
    """Raises InputError where one of the losses of the steps up to `step` is not finite."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    if not len(wrong):
        return
    gentler = "in another --workdir with a lower config.optim.lr, or with config.optim.clip"
    back = (
        f"start again {gentler}"
        if last is None
        else f"the checkpoint of step {last} is kept: write it by `sesr export --expanded --out "
        f"start.safetensors --model` and this folder, and go on from it by --config.init=start.safetensors "
        f"{gentler}"
    )
    raise InputError(
        f"the loss is {losses[wrong[0]]} at step {step - len(losses) + int(wrong[0]) + 1}: it must stay "
        f"finite; {back}."
    )
