"""Training by a config: from a config and a folder to a trained, collapsed network.

    network = train(config, "runs/sesr_m5_x2")

The same call again resumes from the last checkpoint, and a killed run ends with the same weights as one
that was left alone: the batch of a step depends on the seed and the step alone. Several processes that make
the call together (`train.processes`) train one network. The loop itself is `train.fit`.
"""

import dataclasses
import functools
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import linen as nn
from jax.experimental import multihost_utils

from sesr_jax import quant, reparam
from sesr_jax.data.feed import Feed, plan_feed
from sesr_jax.data.sources import ImageSet, open_source
from sesr_jax.errors import InputError
from sesr_jax.graph import trace
from sesr_jax.metrics.evaluate import NetworkEvaluator
from sesr_jax.metrics.protocol import choose_protocol
from sesr_jax.models import network
from sesr_jax.train import checkpoint, processes
from sesr_jax.train.fit import DivergedError, Evaluate, Stage, fit
from sesr_jax.train.objective import get_scheme
from sesr_jax.train.optim import make_schedule
from sesr_jax.train.run import open_run
from sesr_jax.train.stage_page import write_page
from sesr_jax.train.stages import (
    StagePlan,
    enter,
    eval_state_shapes,
    measure_largest_change,
    pair_trainers,
    plan,
)
from sesr_jax.train.state import list_shapes
from sesr_jax.train.steps import check_batch
from sesr_jax.train.trainer import Trainer
from sesr_jax.train.trainers import make_trainer
from sesr_jax.train.validation import make_degradation, validate

_log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
"""The collapsed network in a finished run's folder."""

EXPANDED = "expanded.safetensors"
"""The network as it was trained, beside it."""

_CALIBRATION_CROPS = 64


def train(
    config: ml_collections.ConfigDict, run: str | os.PathLike[str], *, progress: bool = True
) -> network.Network:
    """Trains, or goes on training, the run in the folder `run`.

    Args:
      config: as `train.config.base`.
      run: gets the config, checkpoints, the log and at last the collapsed weights, `WEIGHTS`; a run of
        several stages (`train.stages`) or several losses also gets a page about them.
      progress: shows a progress bar.

    Returns:
      The trained network (its averaged weights where the config asks for averaging), as it was trained:
      expanded, but for stages behind a collapse.

    Raises:
      InputError: the config does not make sense, the data does not suit it, the folder holds another
        run or a damaged checkpoint or another process trains there, or the loss is no longer finite.
      Stopped: SIGTERM or Ctrl-C came; the state is saved.
    """
    if "conditions" in config:
        raise InputError(
            f"the config has the conditions {tuple(config.conditions)}: `sesr ablate` compares them, and a "
            "run trains one network."
        )
    if "search" in config:
        raise InputError(
            f"the config has a search of the space {config.search.space}: `sesr search` runs it, and a run "
            "trains one network."
        )
    validate(config)
    run = pathlib.Path(run)
    fresh = network.init(
        config.model.name,
        scale=config.model.scale,
        key=jax.random.key(config.seed),
        **config.model.options,
    )
    plans = plan(config)
    trainers = [make_trainer(fresh.module, planned.config) for planned in plans]
    shapes = eval_state_shapes(fresh.module, plans, trainers, fresh.variables)
    images = open_source(config.data.eval, scale=fresh.scale)
    stages = [
        _make_stage(fresh, *parts, images)
        for parts in zip(plans, pair_trainers(trainers), shapes, strict=True)
    ]
    _check_sizes(images, fresh)

    def start() -> Any:
        return trainers[0].init(_initial_variables(config, fresh))

    claim = functools.partial(checkpoint.claim, run, config)
    with open_run(run, keep=config.keep, claim=claim) as opened:
        if opened.last is None or opened.last < plans[-1].end:
            processes.run_in_first(functools.partial(checkpoint.note_hardware, run))
        else:
            _log.info("%s has done all of its %s steps", run, f"{plans[-1].end:,}")
        title = f"{fresh.name} ×{fresh.scale}" if progress else None
        try:
            state = fit(stages, start, run=opened, progress=title)
        except DivergedError as error:
            raise InputError(f"{str(error).rstrip('.')}; {_advise(error.last)}") from error
        trained = dataclasses.replace(
            fresh,
            variables=jax.device_get(trainers[-1].get_deployed(state)),
            scheme=get_scheme(plans[-1].config),
        )

        def finish() -> None:
            step = str(int(state.step))
            network.save(trained, run / EXPANDED, step=step)
            network.save(trained.collapse(), run / WEIGHTS, step=step)
            write_page(
                plans, [t.get_deployed(s) for t, s in zip(trainers, shapes, strict=True)], run
            )

        processes.run_in_first(finish)  # the others wait: whoever leaves early is taken for dead
    return trained


class TakesImages(Protocol):
    """What is trained, as far as its feed asks: a scale factor, and 1 or 3 channels."""

    @property
    def scale(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102


def plan_crops(
    config: ml_collections.ConfigDict,
    fresh: TakesImages,
    images: ImageSet,
    where: str | None = None,
) -> Callable[[], Feed]:
    """Returns a function that makes the feed which `config.data` describes; see `data.feed.plan_feed`.

    Args:
      config: as `train.config.base`.
      fresh: what is trained; it gives the scale factor and the channels.
      images: the training set, `open_source(config.data.train)`.
      where: see `plan_feed`.
    """
    data = config.data
    return plan_feed(
        images,
        scale=fresh.scale,
        channels=fresh.channels,
        patch=data.patch,
        batch=data.batch,
        seed=config.seed,
        small=data.small,
        intensities=tuple(data.intensities),
        shards=data.shards,
        device_bytes=data.device_bytes,
        degradation=make_degradation(config),
        where=where,
    )


def _make_stage(
    fresh: network.Network,
    planned: StagePlan,
    trainers: tuple[Trainer[Any], Trainer[Any]],
    shapes: Any,
    images: ImageSet,
) -> Stage:
    """Returns a stage of the config for `fit`; what cannot be done is refused now."""
    config = planned.config
    check_batch(config.data.batch)
    # The first stage reads its images at once, the others hours later.
    where = f"config.stages[{planned.index}].data.patch" if planned.index else None
    read_feed = plan_crops(config, fresh, open_source(config.data.train, scale=fresh.scale), where)
    protocol = choose_protocol(fresh.channels, degraded=config.data.degraded)
    evaluate = NetworkEvaluator(fresh, images, scheme=get_scheme(config), protocol=protocol)
    return Stage(
        trainer=trainers[1],
        read_feed=read_feed,
        steps=planned.end - planned.start,
        seed=config.seed,
        steps_per_call=config.steps_per_call,
        eval_every=config.eval_every,
        checkpoint_every=config.checkpoint_every,
        evaluate=evaluate,
        enter=functools.partial(_enter, fresh.module, planned, trainers, evaluate),
        shapes=shapes,
        schedules={"learning_rate": make_schedule(config)},
        label=planned.label,
    )


def _enter(
    module: nn.Module,
    planned: StagePlan,
    trainers: tuple[Trainer[Any], Trainer[Any]],
    evaluate: Evaluate,
    state: Any,
    feed: Feed,
) -> tuple[Any, Mapping[str, float]]:
    """Returns the state with which a stage begins, and what its entry does to the function."""
    measure = functools.partial(_measure_ranges, module, planned, feed)
    entered = enter(planned, trainers, state, measure)
    if planned.entry.name == "none":
        return entered, {}
    both = [t.get_deployed(s) for t, s in zip(trainers, (state, entered), strict=True)]
    change = measure_largest_change(*both)
    before, after = (evaluate(variables)["psnr"] for variables in both)
    _log.info(
        "stage %d enters by %s: the collapsed parameters change by up to %.3g, PSNR from %.2f to %.2f dB",
        *(planned.index, planned.entry.name, change, before, after),
    )
    return entered, {"kernel_change": change, "psnr_before": before, "psnr_after": after}


def _measure_ranges(
    module: nn.Module, planned: StagePlan, feed: Feed, variables: Any
) -> dict[str, jax.Array]:
    """Returns the ranges with which a network begins to be quantised, from a batch of its training crops."""
    config = planned.config
    shards = config.data.shards
    count = -(-_CALIBRATION_CROPS // shards) * shards
    # With several shards, the other processes hold other images.
    share = (jax.process_index(), jax.process_count()) if shards > 1 else (0, 1)
    crops = feed.sample(jax.random.key(config.seed), count, share).lr
    if share[1] > 1:
        crops = multihost_utils.process_allgather(crops, tiled=True)
    x = np.asarray(crops)
    found = quant.calibrate(
        trace(module, variables, x.shape), [x], get_scheme(config), config.quant.observer
    )
    return {group: jnp.asarray(ends, jnp.float32) for group, ends in found.items()}


def _check_sizes(images: ImageSet, fresh: network.Network) -> None:
    """Checks that all images are large enough to be measured.

    Raises:
      InputError: one is too small.
    """
    protocol = choose_protocol(fresh.channels)
    for index in range(len(images)):
        protocol.check_size(images.get_name(index), images.read_size(index), fresh.scale)


def _initial_variables(config: ml_collections.ConfigDict, fresh: network.Network) -> Any:
    """Returns fresh variables, or those of `config.init` wherever a part of it has the same shapes.

    So the paper's ×4 starts from the ×2 with a new last layer (Bhardwaj et al. 2022, §5.1).
    """
    params = fresh.variables["params"]
    if not config.init:
        return fresh.variables
    is_run = os.path.isdir(config.init)
    start = checkpoint.load_network(config.init) if is_run else network.load(config.init)
    given = start.variables["params"]
    small = [
        name
        for name, part in params.items()
        if _is_collapsed(given.get(name)) > _is_collapsed(part)
    ]
    if small:
        raise InputError(
            f"config.init {config.init} holds collapsed weights ({', '.join(small)}), where {fresh.name} "
            "trains larger terms: it must hold expanded weights, such as a run or its expanded.safetensors."
        )
    kept = find_matching(given, params)
    if not kept:
        raise InputError(
            f"config.init {config.init} shares no layer with {fresh.name} ×{fresh.scale}: at least one must "
            "have the same shapes."
        )
    _log.info("from %s: %s; fresh: %s", config.init, sorted(kept), sorted(params.keys() - kept))
    return {**fresh.variables, "params": params | kept}


def find_matching(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the layers of `given` that have the name and the shapes of a layer of `wanted`."""
    return {
        name: given[name]
        for name, part in wanted.items()
        if name in given and list_shapes(given[name]) == list_shapes(part)
    }


def _is_collapsed(part: Any) -> bool:
    """Returns whether a layer's term is the one convolution that it equals."""
    terms = [
        leaf for leaf in jax.tree.leaves(part, is_leaf=reparam.is_term) if reparam.is_term(leaf)
    ]
    return bool(terms) and all(isinstance(term, reparam.Conv) for term in terms)


def _advise(last: int | None) -> str:
    """Returns how to go on after a loss that is not finite, from the checkpoint of step `last` if any."""
    gentler = "in another --workdir with a lower config.optim.lr, or with config.optim.clip"
    if last is None:
        return f"start again {gentler}."
    return (
        f"the checkpoint of step {last} is kept: write it by `sesr export --expanded --out "
        "start.safetensors --model` and this folder, and go on from it by --config.init=start.safetensors "
        f"{gentler}."
    )
