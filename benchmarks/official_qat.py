"""Measures what a short training for INT8 wins back of the official networks' losses.

    python -m benchmarks.official_qat FOLDER --data SETS --train IMAGES --only spanv2

FOLDER holds the authors' files, as for `benchmarks.official`. The collapsed network is trained on, as its
INT8 codes compute, for a few hundred steps of 8 crops of 32×32: L1, Adam from 5e-5 by a cosine to zero, with
ranges that start from the extremes on the training images and move with the weights. Its export is proved
code for code, and LiteRT runs a file for each image's size, as in `benchmarks.official_int8`. PSNR is that of
the protocol rgb8, on luma.
"""

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from tqdm import tqdm

from benchmarks.official import SETS, finish, list_files, make_parser
from benchmarks.official_int8 import measure_files
from sesr_jax import train
from sesr_jax.compare import measure
from sesr_jax.errors import InputError
from sesr_jax.export.network import trace_collapsed
from sesr_jax.metrics import RGB8
from sesr_jax.models import network
from sesr_jax.models.network import Network
from sesr_jax.pretrained import find_network
from sesr_jax.quant import find_points
from sesr_jax.reparam import is_term
from sesr_jax.report import format_table
from sesr_jax.upscale import from_network


def as_dense(trained: Network) -> Network:
    """Returns the collapsed network in a form that trains: plain convolutions, with biases."""
    small = trained.collapse()
    if any(field.name == "form" for field in dataclasses.fields(small.module)):
        small = dataclasses.replace(small, options={**small.options, "form": "dense"})
    fresh = network.init(small.name, scale=small.scale, key=jax.random.key(0), **small.options)

    def with_bias(term: Any, wanted: Any) -> Any:
        if is_term(term) and term.bias is None and wanted.bias is not None:
            return dataclasses.replace(term, bias=jnp.zeros_like(wanted.bias))
        return term

    variables = jax.tree.map(with_bias, small.variables, fresh.variables, is_leaf=is_term)
    return dataclasses.replace(small, variables=variables)


def make_config(start: Network, path: str, images: str, steps: int) -> ml_collections.ConfigDict:
    """Returns the config of a training for INT8.

    Args:
      start: the network.
      path: its file.
      images: the folder of training images.
      steps: the number of steps.
    """
    config = train.base()
    config.model.update(name=start.name, scale=start.scale, options=dict(start.options))
    config.init = path
    config.data.update(train=images, patch=32, batch=8)
    config.optim.update(name="adam", lr=5e-5, schedule="cosine")
    config.quant.momentum = 0.05
    config.stages = (train.stage("quantise"),)
    config.update(steps=steps, eval_every=steps, checkpoint_every=steps)
    config.steps_per_call = next(n for n in (50, 20, 10, 5, 2, 1) if steps % n == 0)
    return config


def measure_network(
    found: Network, sets: Sequence[str], images: str, steps: int
) -> tuple[list[float], list[float]]:
    """Returns the PSNR on each set, of the network in float and of its files after the training.

    Raises:
      InputError: as `train.train`, or there are no such images.
    """
    before = [score.mean["psnr"] for score in measure(from_network(found), sets, RGB8)]
    start = as_dense(found)
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "start.safetensors")
        network.save(start, path)
        config = make_config(start, path, images, steps)
        trained = train.train(config, pathlib.Path(folder) / "run", progress=False)
    trace = functools.partial(trace_collapsed, trained)
    ranges = {**(trained.ranges or {}), **find_points(trace((24, 24))).fixed}
    return before, measure_files(trained, trace, ranges, sets)


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, trains, measures, and prints the table."""
    parser = make_parser(__doc__, SETS[:1])
    parser.add_argument(
        "--train", default="embedded:train", help="training images; default %(default)s"
    )
    parser.add_argument("--steps", type=int, default=400, help="of each; default %(default)s")
    args = parser.parse_args(argv)
    sets = args.set or SETS[:1]
    folders = [str((args.data or args.folder) / name) for name in sets]
    results, rows = {}, []
    paths, absent = list_files(args.folder, args.only)
    for path in tqdm(paths, desc="networks", disable=None):
        try:
            before, after = measure_network(find_network(path), folders, args.train, args.steps)
        except InputError as error:
            raise SystemExit(str(error)) from error
        results[path.name] = {"float": before, "int8": after}
        cells = [f"{x:.2f}" for a, b in zip(before, after, strict=True) for x in (a, b, a - b)]
        rows.append([path.name, *cells])
        tqdm.write("  ".join(rows[-1]))
    header = ["file", *(cell for name in sets for cell in (name, "INT8", "lost"))]
    print(format_table(rows, header, "<" + ">" * (3 * len(sets))))
    finish(absent, results, args.json)


if __name__ == "__main__":
    main()
