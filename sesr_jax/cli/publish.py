"""``sesr publish``: from a run's folder to weights that ship, with a card of what they are."""

import argparse
import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr publish --model runs/m5 --qat runs/m5_qat --data Set5 --data Set14 --data B100 \\
      --calibrate General100"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, measures, and writes weights, facts and card."""
    parser = arguments.parser(
        "publish",
        "Write a trained network's weights, the facts about it and its model card: what it is, how it was "
        "trained, and what it reaches in float and INT8 beside the paper's figures.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("--model", required=True, help="the folder of the run that trained it in float")
    add("--qat", help="the folder of the run that went on from it, quantised")
    add(
        "--name",
        help="what it ships as, but for the scale, where it has options that the zoo's name does not tell, "
        "such as sesr_m5_rgb",
    )
    add("--data", action="append", required=True, help="a folder of images to measure; repeatable")
    add(
        "--calibrate",
        default="embedded:train",
        help="the images whose ranges the post-training INT8 file gets, of which the first 32 are "
        "used; default %(default)s",
    )
    add(
        "--from",
        dest="origin",
        type=_origin,
        metavar="RUN[@STEPS]",
        help="the run, and its last step that counts, whose weights the first run began with, where its "
        "config does not lead to it",
    )
    add(
        "--hardware",
        default="not recorded",
        help="of runs that do not record theirs; default %(default)s",
    )
    add("--out", type=pathlib.Path, help="the folder to write to; by default that which ships")
    args = parser.parse_args(argv)

    from sesr_jax import pretrained
    from sesr_jax.publish import publish, results_table

    folder = args.out or pretrained.FOLDER
    facts = publish(
        args.model,
        qat=args.qat,
        name=args.name,
        data=args.data,
        calibrate=args.calibrate,
        folder=folder,
        origin=args.origin,
        hardware=args.hardware,
    )
    print(results_table([facts]))
    print(f"card: {folder / facts['name']}.md")


def _origin(text: str) -> tuple[pathlib.Path, int | None]:
    run, at, steps = text.rpartition("@")
    if not at:
        return pathlib.Path(text), None
    if not steps.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: behind @ stands a number of steps")
    return pathlib.Path(run), int(steps)
