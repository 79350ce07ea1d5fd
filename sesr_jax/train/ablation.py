"""Ablations: one network trained with several forms and several seeds, all else equal.

    results = ablate(config, "runs/forms")
    print(text_table(*table(results)))

A condition is a form of `reparam.FORMS`, such as "ecb", or a form with the network's short residuals,
such as "ecb+residual". Every condition sees the same crops in the same order, seed by seed, and deploys
the same convolutions. It is trained with one recipe: what prefers another learning rate loses by it.

The same call goes on after the conditions that are done, and does those that were added.
"""

import dataclasses
import json
import os
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from sesr_jax import report
from sesr_jax.data.pool import Pool, make_pool
from sesr_jax.data.sources import ImagePair, source
from sesr_jax.data.stream import pool_bytes
from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder, replace_file
from sesr_jax.metrics.evaluate import bicubic, evaluate, mean
from sesr_jax.metrics.protocol import Protocol, native_protocol
from sesr_jax.models import create, network
from sesr_jax.reparam import collapse, named
from sesr_jax.train.config import base, completed, validate
from sesr_jax.train.optim import optimizer
from sesr_jax.train.state import init_state, stack_states, unstack_state
from sesr_jax.train.step import make_steps

PAGE = "index.html"
"""In the folder of an ablation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What one condition came to.

    Attributes:
      parameters: as trained.
      psnr: in dB, the mean over the pictures (protocol Y), one a seed.
      steps: done after each of the losses.
      losses: the mean over the steps before and over the seeds.
    """

    parameters: int
    psnr: tuple[float, ...]
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()


def base_ablation() -> ml_collections.ConfigDict:
    """`train.config.base` and what an ablation has beside: how many seeds, and the conditions."""
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
      folder: gets for each condition its result and the expanded weights of its best seed, and `PAGE`. The
        best is so on the pictures of `config.data.eval`: measure it on others.
      say: hears each condition's result as it comes.

    Returns:
      The results by condition, in the config's order, after that of bicubic interpolation.

    Raises:
      InputError: the config does not make sense, or the folder holds results of another one, or
        another process is at it.
    """
    if "conditions" not in config:
        raise InputError(
            "the config has no conditions to compare: start from train.base_ablation, as "
            "the recipe forms does, or use sesr train."
        )
    validate(config)
    if config.seeds < 1 or not config.conditions:
        raise InputError(
            f"config.seeds is {config.seeds} and config.conditions {tuple(config.conditions)}: "
            "there must be one or more of each; add some."
        )
    if config.stages or config.init:
        raise InputError(
            "config.stages and config.init are for sesr train: an ablation trains every condition afresh in "
            "one stage; remove them."
        )
    options = {name: _options(config, name) for name in config.conditions}
    with lock_folder(folder):
        return _ablate(config, options, pathlib.Path(folder), say)


def _ablate(
    config: ml_collections.ConfigDict,
    options: Mapping[str, dict[str, Any]],
    folder: pathlib.Path,
    say: Callable[[str], None],
) -> dict[str, Result]:
    done = {name: _read(folder / f"{name}.json", config) for name in options}
    scale, data = config.model.scale, config.data
    pictures = source(data.eval, scale=scale)
    images = source(data.train, scale=scale)
    if (size := pool_bytes(images, scale, 1, (0, 1))) > data.device_bytes:
        raise InputError(
            f"{data.train} takes {size:,} bytes as pixels, more than config.data.device_bytes = "
            f"{data.device_bytes:,}: an ablation keeps them on the device; give fewer images, or allow more."
        )
    pool = make_pool(images, scale=scale, patch=data.patch, small=data.small)
    score = _scorer(config, pictures)
    protocol = _protocol(config)
    anchor = mean(evaluate(bicubic(scale), pictures, scale, protocol))["psnr"]
    results = {"bicubic": Result(parameters=0, psnr=(anchor,))}
    for name, found in done.items():
        if found is None:
            result, best = _train(config, options[name], pool, score)
            network.save(best, folder / f"{name}.safetensors")
            _write(folder / f"{name}.json", config, result)
        else:
            result = found
        say(f"{name}: {_summary(result)} dB")
        results[name] = result
    report.write(_page(config, results), folder / PAGE)
    return results


def table(results: Mapping[str, Result]) -> tuple[list[list[str]], list[str]]:
    """Rows, the best mean first, and their header."""
    order = sorted(results, key=lambda name: -statistics.fmean(results[name].psnr))
    rows = [
        [
            name,
            f"{results[name].parameters:,}",
            _summary(results[name]),
            *(f"{pick(results[name].psnr):.3f}" for pick in (min, max)),
        ]
        for name in order
    ]
    return rows, ["condition", "trained parameters", "PSNR in dB", "least", "most"]


def _summary(result: Result) -> str:
    """The mean and, over several seeds, their standard deviation."""
    mean_of = f"{statistics.fmean(result.psnr):.3f}"
    return f"{mean_of} ± {statistics.stdev(result.psnr):.3f}" if result.psnr[1:] else mean_of


def _options(config: ml_collections.ConfigDict, condition: str) -> dict[str, Any]:
    """The model's options in that condition; refuses what the model does not take."""
    form, plus, addition = condition.partition("+")
    if plus and addition != "residual":
        raise InputError(
            f"unknown condition {condition!r}: only '+residual' may follow the form; correct it."
        )
    named(form)
    options = {**config.model.options, "form": form, "short_residual": bool(plus)}
    create(config.model.name, scale=config.model.scale, **options)
    return options


def _train(
    config: ml_collections.ConfigDict,
    options: Mapping[str, Any],
    pool: Pool,
    score: Callable[[Any], float],
) -> tuple[Result, network.Network]:
    """All seeds of one condition, from the first step to the last, and the network of the best of them."""
    seeds = range(config.seed, config.seed + config.seeds)
    nets = [
        network.init(config.model.name, scale=pool.scale, key=jax.random.key(seed), **options)
        for seed in seeds
    ]
    tx = optimizer(config)
    steps = make_steps(nets[0].module, tx, config, seeds=seeds)
    state = stack_states([init_state(net.variables, tx) for net in nets])
    done, losses = [], []
    for step in range(0, config.steps, config.steps_per_call):
        state, values = steps(state, pool, step)
        done.append(step + config.steps_per_call)
        losses.append(jnp.mean(values))
        # That of the call before, for which the device is not waited for.
        if not np.isfinite(losses[max(0, len(losses) - 2)]):
            break
    if not np.isfinite(losses).all():
        raise InputError(
            f"the loss of {dict(options)} is no longer finite: it must be; lower config.optim.lr, or leave "
            "that condition out of config.conditions."
        )
    runs = [unstack_state(state, i).ema for i in range(config.seeds)]
    result = Result(
        parameters=sum(p.size for p in jax.tree.leaves(runs[0])),
        psnr=tuple(map(score, runs)),
        steps=tuple(done),
        losses=tuple(map(float, losses)),
    )
    best = int(np.argmax(result.psnr))
    return result, dataclasses.replace(nets[best], variables=runs[best])


def _scorer(
    config: ml_collections.ConfigDict, pictures: Sequence[ImagePair]
) -> Callable[[Any], float]:
    """Mean PSNR as a function of the expanded variables; compiled once for all conditions."""
    scale = config.model.scale
    module = create(config.model.name, scale=scale, **config.model.options)

    @jax.jit
    def upscale(variables: Any, x: jax.Array) -> jax.Array:
        return module.apply(variables, x[None])[0]

    def score(variables: Any) -> float:
        deployed = collapse(variables)
        scores = evaluate(lambda x: upscale(deployed, x), pictures, scale, _protocol(config))
        return mean(scores)["psnr"]

    return score


def _protocol(config: ml_collections.ConfigDict) -> Protocol:
    module = create(config.model.name, scale=config.model.scale, **config.model.options)
    return native_protocol(getattr(module, "channels", 1))


def _held(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The part of the config that a result depends on."""
    return {
        key: value for key, value in json.loads(config.to_json()).items() if key != "conditions"
    }


def _write(path: pathlib.Path, config: ml_collections.ConfigDict, result: Result) -> None:
    content = {"config": _held(config), "result": dataclasses.asdict(result)}
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _read(path: pathlib.Path, config: ml_collections.ConfigDict) -> Result | None:
    """The result that an earlier call left, or None.

    Raises:
      InputError: it is of another config.
    """
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if _held(completed(base_ablation(), content["config"])) != _held(config):
        raise InputError(
            f"{path} is of another config: all conditions must be trained alike; name an empty folder."
        )
    found = content["result"]
    return Result(
        parameters=found["parameters"],
        **{key: tuple(found[key]) for key in ("psnr", "steps", "losses")},
    )


def _page(config: ml_collections.ConfigDict, results: Mapping[str, Result]) -> report.Page:
    rows, header = table(results)
    model, data = config.model, config.data
    trained = {name: result for name, result in results.items() if result.losses}
    quality: list[report.Block] = [
        report.Dots(
            {row[0]: results[row[0]].psnr for row in rows if row[0] in trained},
            x="PSNR in dB",
            caption="One dot a seed; the bar is their mean.",
        ),
        report.Table(header, rows, "± is the standard deviation over the seeds."),
    ]
    curves = report.Plot(
        {name: (result.steps, result.losses) for name, result in trained.items()},
        x="step",
        y=f"{config.loss} loss, mean over the seeds",
    )
    return report.Page(
        f"{model.name} ×{model.scale} by form",
        [report.Section("Quality", quality), report.Section("Training", [curves])],
        lead=f"{config.steps:,} steps of {data.batch} crops of {data.patch}×{data.patch} from {data.train}, "
        f"{config.seeds} seeds, measured on {data.eval} (protocol {_protocol(config).name}).",
    )
