"""Ablations: one network trained with several forms and several seeds, all other settings being equal.

    results = ablate(config, "runs/forms")
    print(format_table(*make_table(results)))

A condition is a form of `reparam.FORMS`, such as "ecb", or a form with the network's short residuals,
such as "ecb+residual". For each seed, every condition sees the same crops in the same order, and all
conditions deploy the same convolutions. They share one recipe, which puts a form at a disadvantage that
prefers another learning rate.

When the same call is repeated, it skips the conditions that are done, and trains those that were added.
"""

import dataclasses
import json
import os
import pathlib
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from sesr_jax.data.feed import Feed
from sesr_jax.data.sources import open_source
from sesr_jax.data.stream import pool_bytes
from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder, write_file
from sesr_jax.metrics.evaluate import NetworkEvaluator, bicubic, evaluate, mean
from sesr_jax.metrics.protocol import Protocol
from sesr_jax.models import create, network
from sesr_jax.reparam import find_form
from sesr_jax.report import Block, Dots, Page, Plot, Section, Table, write_page
from sesr_jax.schema import build
from sesr_jax.train.config import base, fill_in
from sesr_jax.train.fit import DivergedError, Stage, fit
from sesr_jax.train.state import stack_states, unstack_state
from sesr_jax.train.trainers import make_trainer
from sesr_jax.train.training import plan_crops
from sesr_jax.train.validation import validate
from sesr_jax.untrusted import parse_json, read_text, refuse_damaged

PAGE = "index.html"
"""The name of the page in the folder of an ablation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one condition.

    Attributes:
      parameters: the number of trained parameters.
      psnr: for each seed, the mean over the images in dB (in the network's native protocol).
      steps: the number of steps that were done at each of `losses`.
      losses: means over the steps since the loss before, and over the seeds.
    """

    parameters: int
    psnr: tuple[float, ...]
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()


def base_ablation() -> ml_collections.ConfigDict:
    """Returns `train.config.base` with the number of seeds and the conditions of an ablation."""
    config = base()
    config.seeds = 3
    config.conditions = ("dense", "collapsible", "collapsible+residual")
    return config


def ablate(
    config: ml_collections.ConfigDict,
    folder: str | os.PathLike[str],
    say: Callable[[str], None] = print,
) -> dict[str, Result]:
    """Trains every condition from the seeds 0, 1, … and writes a page that compares them.

    Args:
      config: as `base_ablation`; the model must take the options of SESR.
      folder: receives `PAGE` and, for each condition, its result and the expanded weights of its best seed.
        The best seed was selected on `config.data.eval`, so measure it on other images.
      say: called with one line about each condition, once it is trained.

    Returns:
      The results by condition: bicubic interpolation first, then the conditions in the config's order.

    Raises:
      InputError: the config is not valid, the folder holds results of another config, or another process
        works in it.
    """
    if "conditions" not in config:
        raise InputError(
            "the config has no config.conditions to compare: an ablation needs them, as "
            "train.ablation.base_ablation and the recipe forms have them."
        )
    validate(config)
    if config.seeds < 1 or not config.conditions:
        raise InputError(
            f"config.seeds is {config.seeds} and config.conditions {tuple(config.conditions)}: "
            "there must be one or more of each."
        )
    if config.stages or config.init:
        raise InputError(
            f"config.stages is {tuple(config.stages)} and config.init {config.init!r}: both must be empty, "
            "since an ablation trains every condition from fresh weights in one stage."
        )
    options = {name: _find_options(config, name) for name in config.conditions}
    with lock_folder(folder):
        return _ablate(config, options, pathlib.Path(folder), say)


def _ablate(
    config: ml_collections.ConfigDict,
    options: Mapping[str, dict[str, Any]],
    folder: pathlib.Path,
    say: Callable[[str], None],
) -> dict[str, Result]:
    done = {name: _read_result(folder / f"{name}.json", config) for name in options}
    scale, data = config.model.scale, config.data
    evaluated = open_source(data.eval, scale=scale)
    images = open_source(data.train, scale=scale)
    if (size := pool_bytes(images, scale, 1, (0, 1))) > data.device_bytes:
        raise InputError(
            f"{data.train} takes {size:,} bytes as pixels, more than config.data.device_bytes = "
            f"{data.device_bytes:,}: an ablation keeps all images on the device."
        )
    plain = network.init(
        config.model.name, scale=scale, key=jax.random.key(0), **config.model.options
    )
    feed = plan_crops(config, plain, images)()
    # All conditions deploy the same convolutions, so that one evaluator serves them all.
    evaluate_network = NetworkEvaluator(plain, evaluated)
    protocol = evaluate_network.protocol
    anchor = mean(evaluate(bicubic(scale), evaluated, scale, protocol))["psnr"]
    results = {"bicubic": Result(parameters=0, psnr=(anchor,))}
    for name, found in done.items():
        if found is None:
            result, best = _train_condition(config, options[name], feed, evaluate_network)
            network.save(best, folder / f"{name}.safetensors")
            _write_result(folder / f"{name}.json", config, result)
        else:
            result = found
        say(f"{name}: {_summarise(result)} dB")
        results[name] = result
    write_page(_make_page(config, results, protocol), folder / PAGE)
    return results


def make_table(results: Mapping[str, Result]) -> tuple[list[list[str]], list[str]]:
    """Returns the rows of a table of results, the best mean first, and its header."""
    order = sorted(results, key=lambda name: -statistics.fmean(results[name].psnr))
    rows = [
        [
            name,
            f"{results[name].parameters:,}",
            _summarise(results[name]),
            *(f"{pick(results[name].psnr):.3f}" for pick in (min, max)),
        ]
        for name in order
    ]
    return rows, ["condition", "trained parameters", "PSNR in dB", "least", "most"]


def _summarise(result: Result) -> str:
    """Returns the mean PSNR as text and, with several seeds, its standard deviation."""
    mean_of = f"{statistics.fmean(result.psnr):.3f}"
    return f"{mean_of} ± {statistics.stdev(result.psnr):.3f}" if result.psnr[1:] else mean_of


def _find_options(config: ml_collections.ConfigDict, condition: str) -> dict[str, Any]:
    """Returns the options of the model in that condition.

    Raises:
      InputError: the model does not take them, or there is no such form.
    """
    form, plus, addition = condition.partition("+")
    if plus and addition != "residual":
        raise InputError(f"unknown condition {condition!r}: only '+residual' may follow the form.")
    find_form(form)
    options = {**config.model.options, "form": form, "short_residual": bool(plus)}
    create(config.model.name, scale=config.model.scale, **options)
    return options


def _train_condition(
    config: ml_collections.ConfigDict,
    options: Mapping[str, Any],
    feed: Feed,
    evaluate: NetworkEvaluator,
) -> tuple[Result, network.Network]:
    """Trains all seeds of one condition, and returns its result and the network of the best seed."""
    seeds = range(config.seed, config.seed + config.seeds)
    scale = config.model.scale
    nets = [
        network.init(config.model.name, scale=scale, key=jax.random.key(seed), **options)
        for seed in seeds
    ]
    trainer = make_trainer(nets[0].module, config)
    stage = Stage(
        trainer=trainer,
        read_feed=lambda: feed,
        steps=config.steps,
        seed=seeds,
        steps_per_call=config.steps_per_call,
    )
    losses: dict[int, float] = {}

    def report(step: int, values: Mapping[str, float]) -> None:
        losses[step] = values["loss"]

    try:
        state = fit(
            [stage],
            lambda: stack_states([trainer.init(net.variables) for net in nets]),
            report=report,
        )
    except DivergedError as error:
        raise InputError(
            f"the loss with the options {dict(options)} is no longer finite: config.optim.lr must be lower, "
            "or config.conditions must leave that condition out."
        ) from error
    runs = [trainer.get_deployed(unstack_state(state, i)) for i in range(config.seeds)]
    result = Result(
        parameters=sum(p.size for p in jax.tree.leaves(runs[0])),
        psnr=tuple(evaluate(variables)["psnr"] for variables in runs),
        steps=tuple(losses),
        losses=tuple(losses.values()),
    )
    best = int(np.argmax(result.psnr))
    return result, dataclasses.replace(nets[best], variables=runs[best])


def _select_relevant(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the settings that a result depends on."""
    return {
        key: value for key, value in json.loads(config.to_json()).items() if key != "conditions"
    }


def _write_result(path: pathlib.Path, config: ml_collections.ConfigDict, result: Result) -> None:
    content = {"config": _select_relevant(config), "result": dataclasses.asdict(result)}
    write_file(path, json.dumps(content, indent=1))


def _read_result(path: pathlib.Path, config: ml_collections.ConfigDict) -> Result | None:
    """Returns the result that an earlier call wrote, or None.

    Raises:
      InputError: it belongs to another config.
    """
    if not path.exists():
        return None
    content: _Content = build(_Content, parse_json(read_text(path), str(path)), str(path))
    with refuse_damaged(f"{path} holds no config of an ablation"):
        alike = _select_relevant(
            fill_in(base_ablation(), dict(content.config))
        ) == _select_relevant(config)
    if not alike:
        raise InputError(
            f"{path} is the result of another config: all conditions in a folder must be trained alike."
        )
    return content.result


@dataclasses.dataclass(frozen=True)
class _Content:
    config: Mapping[str, Any]
    result: Result


def _make_page(
    config: ml_collections.ConfigDict, results: Mapping[str, Result], protocol: Protocol
) -> Page:
    rows, header = make_table(results)
    model, data = config.model, config.data
    trained = {name: result for name, result in results.items() if result.losses}
    quality: list[Block] = [
        Dots(
            {row[0]: results[row[0]].psnr for row in rows if row[0] in trained},
            x="PSNR in dB",
            caption="One dot for each seed; the bar is their mean.",
        ),
        Table(header, rows, "± is the standard deviation over the seeds."),
    ]
    curves = Plot(
        {name: (result.steps, result.losses) for name, result in trained.items()},
        x="step",
        y=f"{config.loss} loss, mean over the seeds",
    )
    return Page(
        f"{model.name} ×{model.scale} by form",
        [Section("Quality", quality), Section("Training", [curves])],
        lead=f"{config.steps:,} steps of {data.batch} crops of {data.patch}×{data.patch} from {data.train}, "
        f"{config.seeds} seeds, measured on {data.eval} (protocol {protocol.name}).",
    )
