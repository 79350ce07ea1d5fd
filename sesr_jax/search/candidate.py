"""The quick training of one candidate, by the existing loop, in whatever process.

A candidate's folder holds the log of its training, its checkpoints while they are needed, and its expanded
weights at the end. The job and the result are plain data.
"""

import dataclasses
import functools
import json
import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from sesr_jax.data.feed import Feed
from sesr_jax.data.sources import ImagePair, open_source
from sesr_jax.metrics.evaluate import NetworkEvaluator
from sesr_jax.models import network
from sesr_jax.train import DivergedError, Stage, base, fit, make_trainer, open_run
from sesr_jax.train.config import fill_in
from sesr_jax.train.training import EXPANDED, find_matching, plan_crops


def make_job(
    config: ml_collections.ConfigDict,
    options: Mapping[str, Any],
    folder: pathlib.Path,
    *,
    until: int,
    crop: int = 0,
    parent: pathlib.Path | None = None,
    resumable: bool = False,
) -> dict[str, Any]:
    """Returns the job of training a candidate.

    Args:
      config: of the candidate's training, as `train.config.base`.
      options: the options of its model.
      folder: the candidate's.
      until: the step at which it stops.
      crop: the side in HR pixels of the middle of each image on which it is measured; 0 for whole images.
      parent: the folder of the candidate from whose weights it starts; None for fresh ones.
      resumable: whether it may go on later, from a checkpoint at the end.
    """
    return {
        "config": config.to_json(),
        "options": dict(options),
        "folder": str(folder),
        "until": until,
        "crop": crop,
        "parent": str(parent) if parent else "",
        "resumable": resumable,
    }


def train_candidate(job: Mapping[str, Any]) -> dict[str, Any]:
    """Trains a candidate, or goes on, and returns its PSNR, steps, seconds, and why it failed if it did.

    Raises:
      InputError: the data cannot be read.
      Stopped: SIGTERM came; the state is saved.
    """
    clock = time.perf_counter()
    config = fill_in(base(), json.loads(job["config"]))
    fresh = network.init(
        config.model.name,
        scale=config.model.scale,
        key=jax.random.key(config.seed, impl="rbg"),  # whose programs compile faster
        **job["options"],
    )
    feed, images = _open_data(config.to_json(), fresh.channels, job["crop"])
    trainer = make_trainer(fresh.module, config)
    until, saves = job["until"], config.checkpoint_every < config.steps or job["resumable"]
    stage = Stage(
        trainer=trainer,
        read_feed=lambda: feed,
        steps=until,
        seed=config.seed,
        steps_per_call=config.steps_per_call,
        checkpoint_every=config.checkpoint_every if saves else None,
    )
    result: dict[str, Any] = {"psnr": 0.0, "steps": until, "failure": ""}
    folder = pathlib.Path(job["folder"])
    with open_run(folder, keep=1) as run:
        try:
            state = fit([stage], lambda: trainer.init(_start(fresh, job["parent"])), run=run)
        except DivergedError as error:
            result["failure"] = str(error)
        else:
            variables = trainer.get_deployed(state)
            psnr = NetworkEvaluator(fresh, images)(variables)["psnr"]
            if math.isfinite(psnr):
                result["psnr"] = psnr
            else:
                result["failure"] = f"the PSNR is {psnr}: it must be finite."
            trained = dataclasses.replace(fresh, variables=jax.device_get(variables))
            network.save(trained, folder / EXPANDED, step=str(until))
    return {**result, "seconds": time.perf_counter() - clock}


def _start(fresh: network.Network, parent: str) -> Any:
    """Returns fresh variables, with those of the parent in each layer of the same name and shapes."""
    path = pathlib.Path(parent) / EXPANDED
    if not parent or not path.exists():
        return fresh.variables
    given, own = network.load(path).variables["params"], fresh.variables["params"]
    return {**fresh.variables, "params": {**own, **find_matching(given, own)}}


class _Images(NamedTuple):
    scale: int
    channels: int


@functools.lru_cache(maxsize=2)
def _open_data(config: str, channels: int, crop: int) -> tuple[Feed, Sequence[ImagePair]]:
    """Returns the feed and the images to evaluate on, which all candidates in this process share."""
    found = fill_in(base(), json.loads(config))
    scale = found.model.scale
    images = open_source(found.data.train, scale=scale)
    feed = plan_crops(found, _Images(scale, channels), images)()
    evaluated = open_source(found.data.eval, scale=scale)
    if not crop:
        return feed, evaluated
    return feed, [_cut_middle(evaluated[i], crop, scale) for i in range(len(evaluated))]


def _cut_middle(image: ImagePair, side: int, scale: int) -> ImagePair:
    """Returns the middle of an image, `side` HR pixels high and wide where it has so many."""
    sides = [min(side, n) // scale for n in image.hr.shape[:2]]
    top, left = ((n // scale - s) // 2 for n, s in zip(image.hr.shape[:2], sides, strict=True))

    def cut(pixels: np.ndarray, factor: int) -> np.ndarray:
        rows = slice(top * factor, (top + sides[0]) * factor)
        return pixels[rows, left * factor : (left + sides[1]) * factor]

    low = None if image.lr is None else cut(image.lr, 1)
    return ImagePair(name=image.name, hr=cut(image.hr, scale), lr=low)
