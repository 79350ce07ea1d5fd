"""The training loop: from a config and a folder to a trained, collapsed network.

    network = train(config, "runs/sesr_m5_x2")

The same call again resumes from the last checkpoint, and a killed run ends with the same weights as one
that was left alone: the batch of a step depends on the seed and the step alone.
"""

import dataclasses
import functools
import logging
import os
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
from tqdm import tqdm

from sesr_jax import reparam
from sesr_jax.data.pool import make_pool
from sesr_jax.data.sources import Picture, source
from sesr_jax.errors import InputError
from sesr_jax.metrics.evaluate import evaluate, mean
from sesr_jax.metrics.protocol import Y
from sesr_jax.models import network
from sesr_jax.train import checkpoint
from sesr_jax.train.config import validate
from sesr_jax.train.log import Log
from sesr_jax.train.step import TrainState, init_state, make_steps, optimizer, schedule

_log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"
"""The collapsed network in a finished run's folder."""

EXPANDED = "expanded.safetensors"
"""The network as it was trained, beside it."""


def train(
    config: ml_collections.ConfigDict, run: str | os.PathLike[str], *, progress: bool = True
) -> network.Network:
    """Trains, or goes on training, the run in the folder `run`.

    Args:
      config: as `train.config.base`.
      run: gets the config, checkpoints, the log and at last the collapsed weights, `WEIGHTS`.
      progress: shows a progress bar.

    Returns:
      The trained network (its averaged weights where the config asks for averaging), expanded.

    Raises:
      InputError: the config does not make sense, the data does not suit it, the folder holds another
        run or a damaged checkpoint, or the loss is no longer finite.
    """
    validate(config)
    run = pathlib.Path(run)
    fresh = network.init(
        config.model.name,
        scale=config.model.scale,
        key=jax.random.key(config.seed),
        **config.model.options,
    )
    tx = optimizer(config)
    steps = make_steps(fresh.module, tx, config)
    pictures = source(config.data.train, scale=fresh.scale)
    evaluate = _evaluator(fresh, source(config.data.eval, scale=fresh.scale))
    checkpoint.claim(run, config)
    with checkpoint.manager(run, config.keep) as saved:
        state = checkpoint.restore(saved, init_state(_initial(config, fresh), tx))
        if int(state.step) < config.steps:
            pool = make_pool(
                pictures, scale=fresh.scale, patch=config.data.patch, small=config.data.small
            )
            with Log(run, int(state.step)) as log, _bar(config, int(state.step), progress) as bar:
                state = _run(
                    config, state, lambda state: steps(state, pool), evaluate, saved, log, bar
                )
    trained = dataclasses.replace(fresh, variables={"params": jax.device_get(state.ema)})
    network.save(trained, run / EXPANDED, step=str(int(state.step)))
    network.save(trained.collapsed(), run / WEIGHTS, step=str(int(state.step)))
    return trained


def _run(
    config: ml_collections.ConfigDict,
    state: TrainState,
    steps: Callable[[TrainState], tuple[TrainState, jax.Array]],
    evaluate: Callable[[Any], dict[str, float]],
    saved: ocp.CheckpointManager,
    log: Log,
    bar: tqdm,
) -> TrainState:
    """From `state` to the last step."""
    rate, done, shown = schedule(config), int(state.step), {}
    unread: list[tuple[int, jax.Array]] = []
    clock, since = time.perf_counter(), done
    while done < config.steps:
        state, losses = steps(state)
        done += config.steps_per_call
        unread.append((done, losses))
        due = {
            key
            for key in ("eval_every", "checkpoint_every")
            if not done % config[key] or done == config.steps
        }
        # The losses of a call are read while the device is at the next one, but before anything is saved.
        while len(unread) > (0 if due else 1):
            step, values = unread.pop(0)
            _check_finite(step, np.asarray(values), saved.latest_step())
            loss = float(np.mean(values))
            log.write(step, loss=loss, learning_rate=float(rate(step)))
            shown["loss"] = f"{loss:.5f}"
        if "eval_every" in due:
            speed = (done - since) / (time.perf_counter() - clock)
            scores = evaluate(state.ema)
            log.write(done, **scores, steps_per_second=speed)
            shown["PSNR"] = f"{scores['psnr']:.2f} dB"
        if "checkpoint_every" in due:
            saved.save(done, args=ocp.args.StandardSave(state))
        if due:
            clock, since = time.perf_counter(), done
        bar.set_postfix(shown, refresh=False)
        bar.update(config.steps_per_call)
    saved.wait_until_finished()
    return state


def _initial(config: ml_collections.ConfigDict, fresh: network.Network) -> Any:
    """Fresh parameters, or those of `config.init` wherever a part of it has the same shapes.

    So the paper's ×4 starts from the ×2 with a new last layer (Bhardwaj et al. 2022, §5.1).
    """
    params = fresh.variables["params"]
    if not config.init:
        return params
    given = network.load(config.init).variables["params"]
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
    return params | kept


def _shapes(tree: Any) -> tuple[Any, Any]:
    return jax.tree.map(jnp.shape, jax.tree.leaves(tree)), jax.tree.structure(tree)


def _evaluator(
    net: network.Network, pictures: Iterable[Picture]
) -> Callable[[Any], dict[str, float]]:
    """Mean PSNR and SSIM on `pictures` (protocol Y), as a function of the parameters."""

    @jax.jit
    def upscale(params: Any, x: jax.Array) -> jax.Array:
        return net.module.apply({"params": params}, x[None])[0]

    def evaluator(params: Any) -> dict[str, float]:
        upscaler = functools.partial(upscale, reparam.collapse(params))
        return mean(evaluate(upscaler, pictures, net.scale, Y))

    return evaluator


def _bar(config: ml_collections.ConfigDict, done: int, progress: bool) -> tqdm:
    title = f"{config.model.name} ×{config.model.scale}"
    return tqdm(total=config.steps, initial=done, desc=title, unit="step", disable=not progress)


def _check_finite(step: int, losses: np.ndarray, last: int | None) -> None:
    """Raises InputError where one of the losses of the steps up to `step` is not finite."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    if not len(wrong):
        return
    back = (
        "start again" if last is None else f"the checkpoint of step {last} is kept: resume from it"
    )
    raise InputError(
        f"the loss is {losses[wrong[0]]} at step {step - len(losses) + int(wrong[0]) + 1}: it must stay "
        f"finite; {back} with a lower config.optim.lr, or with config.optim.clip."
    )
