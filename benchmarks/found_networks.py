"""Measures networks that a search found for an NPU beside SESR-M5's hardware form, all by one recipe.

    python -m benchmarks.found_networks runs/found --train FOLDER --data Set14 --data B100

Each network is trained by the recipe `search_equal` with every seed, and trained on for INT8 by its variant
"qat". PSNR is measured in float and, of the INT8 .tflite file, by LiteRT. The table has the median over the
seeds and, in brackets, the least and the most of them. The milliseconds are those of the latency model for a
frame of 1920×1080. The same command goes on after a kill.
"""

import argparse
import itertools
import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence

from sesr_jax.errors import InputError
from sesr_jax.files import write_file

NETWORKS = ("sesr_m5_hw", "faster", "level")
_INT8_STEPS = 2_000
_TARGET, _FRAME = "ethos-n78-4tops", (1080, 1920)

Scores = dict[str, dict[str, float]]
"""By form and set: PSNR in dB."""


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, trains and measures what is missing, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path, help="the folder of the runs and their scores")
    parser.add_argument("--train", default="embedded:train", help="images; default %(default)s")
    parser.add_argument("--data", action="append", required=True, help="a set; repeatable")
    parser.add_argument(
        "--network", action="append", help=f"repeatable; default {', '.join(NETWORKS)}"
    )
    parser.add_argument("--seeds", type=int, default=3, help="per network; default %(default)s")
    parser.add_argument("--variant", help="another variant of the recipe, such as smoke")
    parser.add_argument("--json", type=pathlib.Path, help="also write the scores there")
    args = parser.parse_args(argv)
    names = args.network or list(NETWORKS)
    found: dict[str, list[Scores]] = {name: [] for name in names}
    try:
        for seed, name in itertools.product(range(args.seeds), names):
            found[name].append(_measure(name, seed, args))
        print(format_rows(found, {name: _estimate(name) for name in names}))
    except InputError as error:
        raise SystemExit(str(error)) from error
    if args.json:
        write_file(args.json, json.dumps(found, indent=1))


def format_rows(found: Mapping[str, Sequence[Scores]], times: Mapping[str, float]) -> str:
    """Returns the table of `found`, the scores of each seed by network, and of milliseconds by network."""
    from sesr_jax.report import format_table

    columns = [
        (form, data) for form, sets in next(iter(found.values()))[0].items() for data in sets
    ]
    header = ["network", "ms", *(f"{pathlib.Path(data).name}, {form}" for form, data in columns)]
    rows = []
    for name, seeds in found.items():
        cells = [_summarise([scores[form][data] for scores in seeds]) for form, data in columns]
        rows.append([name, f"{times[name]:.2f}", *cells])
    return format_table(rows, header)


def _summarise(psnr: Sequence[float]) -> str:
    return f"{statistics.median(psnr):.2f} ({min(psnr):.2f} to {max(psnr):.2f})"


def _measure(name: str, seed: int, args: argparse.Namespace) -> Scores:
    """Returns the scores of a network, which is trained first where that was not done before."""
    from sesr_jax import train
    from sesr_jax.compare import Case, export_int8_files, measure
    from sesr_jax.recipes import read_config
    from sesr_jax.untrusted import parse_json, read_text
    from sesr_jax.upscale import from_network, from_tflite

    folder = args.out / f"{name}_{seed}"
    file = folder / "scores.json"
    if file.exists():
        scores: Scores = parse_json(read_text(file), str(file))
        if all(scores[form].keys() == set(args.data) for form in scores):
            return scores
    variants = [args.variant] if args.variant else []
    settings = [
        f"--config.seed={seed}",
        f"--config.data.train={args.train}",
        f"--config.data.eval={args.data[0]}",
    ]
    spec = "+".join([f"search_equal:{name}", *variants])
    network = train.train(read_config(spec, settings), folder / "float")
    settings += [f"--config.init={folder / 'float'}"]
    settings += [] if args.variant else [f"--config.steps={_INT8_STEPS}"]
    trained = train.train(read_config(f"{spec}+qat", settings), folder / "qat")
    (integer,) = export_int8_files(Case(trained=trained), (), folder).values()
    forms = {"float": from_network(network), "INT8": from_tflite(integer)}
    scores = {
        form: {score.data: score.mean["psnr"] for score in measure(upscaler, args.data)}
        for form, upscaler in forms.items()
    }
    write_file(file, json.dumps(scores, indent=1))
    return scores


def _estimate(name: str) -> float:
    """Returns the milliseconds of a frame on the target."""
    from sesr_jax.recipes import read_config
    from sesr_jax.search import Design
    from sesr_jax.search.measures import measure
    from sesr_jax.targets import find_target

    model = read_config(f"search_equal:{name}").model
    design = Design(model=model.name, scale=model.scale, options=model.options.to_dict())
    return measure(design, _FRAME, find_target(_TARGET)).milliseconds


if __name__ == "__main__":
    main()
