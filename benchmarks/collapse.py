"""Measures what the collapse costs and what it saves, for every form of `reparam.FORMS`, on this machine.

    python -m benchmarks.collapse
    python -m benchmarks.collapse --form collapsible --form ecb --repetitions 9 --json collapse.json

Two tables of ratios, from medians of runs in turns (A B A B …), so that other work on the machine weighs on
all alike: the collapse of a large network in each form against a training step of its plain convolutions,
than which no form's step is shorter; and a small network's training step in the mode "collapsed" against
"expanded". Steps are those of `sesr train`: crops, loss, gradients, update. Forms with batch norms run on
their batches' statistics, for which they must run the expanded form too.
"""

import argparse
import json
import os
import pathlib
import platform
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import linen as nn
from tqdm import tqdm

from benchmarks.timing import measure_in_turns
from sesr_jax import train
from sesr_jax.data import PoolFeed
from sesr_jax.data.pool import Pool, make_pool
from sesr_jax.data.sources import ImagePair
from sesr_jax.files import write_file
from sesr_jax.models import create
from sesr_jax.reparam import FORMS, collapse
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.report import format_table
from sesr_jax.train import make_supervised
from sesr_jax.train.steps import compile_steps


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--form", action="append", choices=FORMS, help="repeatable; all by default")
    parser.add_argument("--large", default="sesr_xl", help="whose collapse; default %(default)s")
    parser.add_argument("--small", default="sesr_m5", help="whose two modes; default %(default)s")
    parser.add_argument("--only", choices=("collapse", "modes"), help="one of the two tables")
    parser.add_argument("--batch", type=int, default=32, help="default %(default)s")
    parser.add_argument("--crop", type=int, default=64, help="default %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)

    image = (make_photo_noise((1, 256, 256, 3))[0] * 255).astype("uint8")
    pool = make_pool([ImagePair(name="generated", hr=image)], scale=2, patch=args.crop)
    forms = args.form or list(FORMS)
    results: dict[str, Any] = {}
    if args.only != "modes":
        step = {"step": _make_step(args.large, "dense", "collapsed", pool, args.batch)}
        collapses = {form: _make_collapse(args.large, form) for form in forms}
        results["collapse"] = measure_in_turns(step | collapses, args.repetitions)
    if args.only != "collapse":
        results["modes"] = {}
        for form in tqdm(forms, desc="modes"):
            modes = {
                mode: _make_step(args.small, form, mode, pool, args.batch)
                for mode in ("collapsed", "expanded")
            }
            results["modes"][form] = measure_in_turns(modes, args.repetitions)

    device = jax.devices()[0]
    print(
        f"{device.device_kind or platform.processor()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, jax {jax.__version__}; batch {args.batch} of {args.crop}×{args.crop}; "
        f"medians over {args.repetitions} turns"
    )
    for part, table in (("collapse", _format_collapse), ("modes", _format_modes)):
        if part in results:
            print(table(results[part], args))
    if args.json:
        write_file(args.json, json.dumps(results, indent=2))


def _make_collapse(model: str, form: str) -> Callable[[], Any]:
    module = create(model, scale=2, form=form)
    params = _init(module)["params"]
    compiled = jax.jit(collapse)
    return lambda: compiled(params)


def _make_step(model: str, form: str, mode: str, pool: Pool, batch: int) -> Callable[[], Any]:
    """Returns a training step; each call goes on from the last."""
    config = train.base()
    config.data.batch = batch
    config.steps_per_call = 1
    module = create(model, scale=2, form=form, mode=mode)
    trainer = make_supervised(module, config)
    steps = compile_steps(trainer, PoolFeed(pool=pool, batch=batch), seed=config.seed, per_call=1)
    state = trainer.init(_init(module))

    def step() -> Any:
        nonlocal state
        state, metrics = steps(state, pool, 0)
        return metrics

    return step


def _init(module: nn.Module) -> Any:
    channels = module.channels
    return jax.jit(module.init)(jax.random.key(0), jax.numpy.zeros((1, 8, 8, channels)))


def _format_collapse(seconds: Mapping[str, float], args: argparse.Namespace) -> str:
    step = seconds["step"]
    rows = [
        [form, f"{value * 1e3:.2f} ms", f"{value / step:.2%}"]
        for form, value in seconds.items()
        if form != "step"
    ]
    return format_table(
        rows, ["form", f"{args.large}: collapse", f"of a step of {step * 1e3:.0f} ms"]
    )


def _format_modes(modes: Mapping[str, Mapping[str, float]], args: argparse.Namespace) -> str:
    rows = [
        [
            form,
            *(f"{found[mode] * 1e3:.0f} ms" for mode in ("collapsed", "expanded")),
            f"{found['expanded'] / found['collapsed']:.2f}×",
        ]
        for form, found in modes.items()
    ]
    return format_table(
        rows, ["form", f"{args.small}: collapsed step", "expanded", "expanded / collapsed"]
    )


if __name__ == "__main__":
    main()
