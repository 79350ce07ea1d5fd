"""The long training of the best candidates, and of others for the correlation with their quick scores."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from sesr_jax.search.evolution import Individual
from sesr_jax.search.found import Found
from sesr_jax.search.space import Design
from sesr_jax.train import read_log, train

TRAINED = "trained"
"""The folder of the long runs, by the keys of their designs."""


def train_long(
    config: ml_collections.ConfigDict,
    found: Found,
    folder: pathlib.Path,
    *,
    progress: bool = True,
) -> Found:
    """Trains the best of `found` for ``config.search.long.steps``, or goes on; returns it with the scores.

    Beside the best, networks are taken at even distances of their rank, until there are as many as the
    correlation asks for.

    Raises:
      InputError: as `train.train`.
      Stopped: SIGTERM came; the state is saved.
    """
    settings = config.search.long
    if not settings.steps:
        return found
    scores: dict[str, float] = {}
    for one in choose(found, settings.best, settings.correlate):
        design = found.designs[one.number]
        run = folder / TRAINED / design.key
        train(make_run_config(config, design, settings.steps), run, progress=progress)
        scores[design.key] = _read_last_psnr(run)
    quick = [found.results[key].psnr for key in scores]
    return dataclasses.replace(
        found, long=scores, tau=correlate(quick, list(scores.values())) if len(quick) > 1 else None
    )


def choose(found: Found, best: int, count: int) -> list[Individual]:
    """Returns the `best` individuals, and others that are spread evenly over the ranks, up to `count`."""
    designs: dict[str, Individual] = {}
    for one in found.individuals:
        result = found.get_result(one)
        if result and not result.failure and result.steps == found.config.steps:
            designs.setdefault(found.designs[one.number].key, one)
    keys = [found.designs[one.number].key for one in found.elite]
    elite = [key for key in keys if key in designs]
    others = sorted(designs.keys() - set(elite), key=lambda key: (-found.results[key].psnr, key))
    ranked = [*elite, *others]
    chosen, rest = ranked[:best], ranked[best:]
    more = min(max(count - len(chosen), 0), len(rest))
    places = np.linspace(0, len(rest) - 1, more).round().astype(int).tolist() if more else []
    return [designs[key] for key in (*chosen, *(rest[i] for i in dict.fromkeys(places)))]


def correlate(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns Kendall's rank correlation (tau-b) of two lists of scores; NaN where one is constant."""
    from scipy import stats

    return float(stats.kendalltau(one, other).statistic)


def make_run_config(
    config: ml_collections.ConfigDict, design: Design, steps: int
) -> ml_collections.ConfigDict:
    """Returns the config of a run that trains `design` for `steps`, as `train.train` takes it."""
    content: dict[str, Any] = json.loads(config.to_json())
    del content["search"]
    content["model"] = {
        "name": design.model,
        "scale": design.scale,
        "options": dict(design.options),
    }
    content |= {"steps": steps, "stages": (), "eval_every": steps}
    return ml_collections.ConfigDict(content)


def _read_last_psnr(run: str | os.PathLike[str]) -> float:
    return [line["psnr"] for line in read_log(run) if "psnr" in line][-1]
