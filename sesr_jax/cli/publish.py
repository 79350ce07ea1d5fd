"""``sesr publish``: from a run's folder to weights that ship, with a card of what they are."""

import argparse
import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr publish --model runs/m5 --qat runs/m5_qat --data Set5 --data Set14 --data B100 \\
      --calibrate General100
  sesr publish --model runs/abpn --data Set5    # by abpn_x3, which trains for INT8 itself"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, measures, and writes weights, facts and card."""
    parser = arguments.make_parser(
        "publish",
        "Write a trained network's weights, the facts about it and its model card: what it is, how it was "
        "trained, and what it reaches in float and INT8 beside the paper's figures.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add(
        "--model",
        required=True,
        help="the folder of the run that trained it in float, or for INT8 where its own recipe does; the "
        "figures in float are then those of the weights trained for INT8",
    )
    add("--qat", help="the folder of the run that went on from a float one and trained for INT8")
    add(
        "--name",
        help="the name under which it ships, without the scale factor, such as sesr_m5_rgb; needed where "
        "it has options that the name of its model does not tell",
    )
    add("--data", action="append", required=True, help="a folder of images to measure; repeatable")
    add(
        "--calibrate",
        help="a folder of images, on the first 32 of which the ranges of the INT8 file without training "
        "for INT8 are measured; default embedded:train",
    )
    add(
        "--from",
        dest="origin",
        type=_parse_origin,
        metavar="RUN[@STEPS]",
        help="the run with whose weights the first run began, and the last of its steps that counts; "
        "needed where that run's config names neither a run nor published weights",
    )
    add(
        "--hardware",
        default="not recorded",
        help="the hardware of runs that did not record theirs; default %(default)s",
    )
    add(
        "--out",
        type=pathlib.Path,
        help="the folder to write to; by default sesr_jax/pretrained, which ships",
    )
    args = parser.parse_args(argv)

    from sesr_jax import pretrained
    from sesr_jax.publish import make_results_table, publish

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
    print(make_results_table([facts]))
    print(f"card: {folder / facts['name']}.md")


def _parse_origin(text: str) -> tuple[pathlib.Path, int | None]:
    run, at, steps = text.rpartition("@")
    if not at:
        return pathlib.Path(text), None
    if not steps.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: behind @ stands a number of steps")
    return pathlib.Path(run), int(steps)
