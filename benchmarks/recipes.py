"""Measures what each ingredient of a training recipe brings, in short trainings of SESR-M5 ×2.

    python -m benchmarks.recipes runs/recipes
    python -m benchmarks.recipes runs/recipes --train FOLDER --data Set5 --row constant --row anneal

Each row of `ROWS` is a training that differs from another row in one ingredient, and all rows see as many
pixels as 3,000 steps of 16 crops of 32×32. Every row is trained with the same seeds. ``scores.json`` in the
folder gets the scores of a run as soon as it has ended, and the same command goes on after a kill.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any

from sesr_jax.errors import InputError, look_up

_STEPS = "--config.steps=3000"
_TEACHER = pathlib.Path(__file__).parents[1] / "sesr_jax" / "pretrained" / "sesr_m5_x2.safetensors"


@dataclasses.dataclass(frozen=True)
class Row:
    """A training of the table.

    Attributes:
      spec: the recipe and its variant.
      overrides: further options of the command line.
      against: the row that it differs from in one ingredient.
      difference: that ingredient, in words.
    """

    spec: str
    overrides: tuple[str, ...] = (_STEPS,)
    against: str = ""
    difference: str = ""


ROWS: dict[str, Row] = {
    "constant": Row(
        "sesr_m5_x2:small",
        difference="L1, AMSGrad at a constant learning rate: the paper's recipe",
    ),
    "anneal": Row(
        "sesr_m5_x2:small+anneal",
        against="constant",
        difference="the learning rate falls to zero by a cosine",
    ),
    "optax_constant": Row(
        "sesr_m5_x2:small",
        (_STEPS, "--config.optim.name=amsgrad"),
        "constant",
        "AMSGrad by the rule of optax",
    ),
    "optax_anneal": Row(
        "sesr_m5_x2:small+anneal",
        (_STEPS, "--config.optim.name=amsgrad"),
        "anneal",
        "AMSGrad by the rule of optax",
    ),
    "adam_constant": Row(
        "sesr_m5_x2:small+adam", against="constant", difference="Adam instead of AMSGrad"
    ),
    "adam_anneal": Row(
        "sesr_m5_x2:small+anneal+adam", against="anneal", difference="Adam instead of AMSGrad"
    ),
    "constant_8": Row(
        "sesr_m5_x2:small",
        ("--config.steps=6000", "--config.data.batch=8"),
        "constant",
        "twice the steps, of 8 crops each",
    ),
    "adam_anneal_8": Row(
        "sesr_m5_x2:small+anneal+adam",
        ("--config.steps=6000", "--config.data.batch=8"),
        "adam_anneal",
        "twice the steps, of 8 crops each",
    ),
    "cosine": Row(
        "sesr_m5_x2:cpu",
        against="adam_anneal",
        difference='the weights are averaged (EMA): the variant "cpu"',
    ),
    "finish": Row(
        "sesr_m5_x2:cpu+finish",
        ("--config.steps=2000", "--config.stages[1].steps=250"),
        "cosine",
        "fewer steps, and the saved pixels go to a last stage with L2 on crops of twice the side",
    ),
    "charbonnier": Row(
        "sesr_m5_x2:cpu+charbonnier", against="cosine", difference="the Charbonnier loss"
    ),
    "kernel_basis": Row(
        "sesr_m5_form_x2:cpu",
        (_STEPS, "--config.model.options.form=kernel_basis"),
        "cosine",
        "kernel bases as the form of the convolutions, without short residuals",
    ),
    "ecb": Row(
        "sesr_m5_form_x2:cpu",
        (_STEPS, "--config.model.options.form=ecb"),
        "cosine",
        "ECB as the form of the convolutions, without short residuals",
    ),
    "distill": Row(
        "sesr_m5_x2:cpu+distill",
        (_STEPS, f"--config.distill.teacher={_TEACHER}"),
        "cosine",
        "half of the target is the image of the network that ships, by self-ensemble",
    ),
    "bf16": Row("sesr_m5_x2:cpu+bf16", against="cosine", difference="activations in bfloat16"),
}
"""The trainings by name."""

Scores = dict[str, dict[str, dict[str, dict[str, float]]]]
"""By row, seed and set of images: PSNR and SSIM."""


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path, help="the folder of the runs and of scores.json")
    parser.add_argument("--train", default="embedded:train", help="images; default %(default)s")
    parser.add_argument(
        "--data", action="append", help="a set that is measured; repeatable; default embedded:eval"
    )
    parser.add_argument(
        "--row", action="append", help=f"one of {', '.join(ROWS)}; repeatable; all by default"
    )
    parser.add_argument("--seeds", type=int, default=3, help="per row; default %(default)s")
    parser.add_argument(
        "--steps", type=int, help="another length for a first try: of all rows, in one stage"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the scores there")
    args = parser.parse_args(argv)
    rows = {name: look_up("row", name, ROWS) for name in args.row or ROWS}
    scores = _measure(rows, args)
    print(format_scores(scores, rows))
    if args.json:
        _write(args.json, scores)


def read_row(row: Row, seed: int = 0, steps: int | None = None, **data: str) -> Any:
    """Returns the config of a row with that seed and those images, ``train=…`` and ``eval=…``."""
    from sesr_jax.recipes import read_config

    config = read_config(row.spec, row.overrides)
    config.seed = seed
    config.data.update(data)
    if steps:
        config.update(steps=steps, steps_per_call=steps, stages=())
    return config


def format_scores(scores: Scores, rows: Mapping[str, Row]) -> str:
    """Returns the means over the seeds, with the standard deviation of PSNR where there are several."""
    from sesr_jax.report import format_table

    sets = next(iter(next(iter(scores.values())).values()))
    return format_table(
        [
            (name, str(len(scores[name])), *(_summarise(scores[name], data) for data in sets))
            for name in rows
            if name in scores
        ],
        ["run", "seeds", *(pathlib.Path(data).name for data in sets)],
    )


def _summarise(of_seeds: Mapping[str, Mapping[str, Mapping[str, float]]], data: str) -> str:
    psnr, ssim = ([scores[data][key] for scores in of_seeds.values()] for key in ("psnr", "ssim"))
    spread = f" ± {statistics.stdev(psnr):.2f}" if psnr[1:] else ""
    return f"{statistics.fmean(psnr):.2f}{spread} / {statistics.fmean(ssim):.4f}"


def _measure(rows: Mapping[str, Row], args: argparse.Namespace) -> Scores:
    """Trains the rows and measures them, but for those that ``scores.json`` has already."""
    import jax

    from sesr_jax import train
    from sesr_jax.data.sources import open_source
    from sesr_jax.metrics.evaluate import NetworkEvaluator
    from sesr_jax.models import network

    file = args.out / "scores.json"
    scores = _read(file, args)
    plain = network.init("sesr_m5", scale=2, key=jax.random.key(0))
    # All rows deploy the same convolutions, so that one evaluator per set serves them all.
    evaluators = {
        data: NetworkEvaluator(plain, open_source(data, scale=2))
        for data in args.data or _EVALUATED
    }
    for seed, (name, row) in itertools.product(map(str, range(args.seeds)), rows.items()):
        if seed in scores.get(name, {}):
            continue
        images = {"train": args.train, "eval": next(iter(evaluators))}
        config = read_row(row, int(seed), args.steps, **images)
        trained = train.train(config, args.out / f"{name}_{seed}")
        found = {data: score(trained.variables) for data, score in evaluators.items()}
        scores.setdefault(name, {})[seed] = found
        _write(file, {"train": args.train, "steps": args.steps, "scores": scores})
        print(f"{name}, seed {seed}: {_summarise({seed: found}, next(iter(found)))}", flush=True)
    return {name: scores[name] for name in rows}


_EVALUATED = ("embedded:eval",)


def _read(file: pathlib.Path, args: argparse.Namespace) -> Scores:
    """Returns the scores that an earlier call has written.

    Raises:
      InputError: they are of other images or another length.
    """
    if not file.exists():
        return {}
    content = json.loads(file.read_text("utf-8"))
    scores: Scores = content["scores"]
    sets = {data for seeds in scores.values() for found in seeds.values() for data in found}
    for what, there, here in (
        ("--train", content["train"], args.train),
        ("--steps", content["steps"], args.steps),
        ("--data", sorted(sets), sorted(args.data or _EVALUATED)),
    ):
        if there != here:
            raise InputError(
                f"{file} was measured with {what} {there}, not {here}: they must be equal."
            )
    return scores


def _write(file: pathlib.Path, content: Any) -> None:
    from sesr_jax.files import replace_file

    with replace_file(file) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
