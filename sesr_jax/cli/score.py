"""``sesr score``: a challenge's table, ours beside the published rows."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sesr_jax.cli import arguments

if TYPE_CHECKING:
    from sesr_jax.challenges import Challenge
    from sesr_jax.compare.leaderboard import Timing

_EXAMPLE = """  sesr score --model runs/xlsr --model bicubic_x3 --data DIV2K_valid_HR
  sesr score --model model.tflite --data DIV2K_valid_HR --measure
  sesr score --model model.tflite --data DIV2K_valid_HR --ms 31.5     # read off a phone
  sesr score --challenge aim2020 --model RFDN_AIM.pth --target ethos-u85-512"""

_DEFAULT = "mobile_ai_2021"


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, measures, and prints the table."""
    from sesr_jax.challenges import CHALLENGES, find_challenge

    args = _make_parser(CHALLENGES).parse_args(argv)
    challenge = find_challenge(args.challenge or f"mobile_ai_{args.edition}")

    from sesr_jax.compare import (
        enter,
        list_entries,
        make_correlations,
        make_leaderboard,
        write_json,
    )
    from sesr_jax.metrics import read_niqe_model
    from sesr_jax.report import format_table

    arguments.allow_large_images()
    timings, by = _make_timings(args, challenge)
    niqe_model = read_niqe_model(args.niqe) if args.niqe else None
    ours = [
        enter(challenge, model, args.data, timing=timing, by=by, niqe_model=niqe_model)
        for model, timing in zip(args.model, timings, strict=True)
    ]
    scores = f"; scores by the formula of {challenge.edition}" if challenge.scoring else ""
    print(f"{challenge.quality}; ours on {args.data}, the others' on {challenge.data}{scores}")
    rows, header = make_leaderboard(challenge, ours)
    print(format_table(rows, header, "<<" + ">" * (len(header) - 2)))
    if challenge.gate:
        print(f"below: less than the {challenge.gate_rule}")
    if challenge.correlated:
        print("\nSpearman's rank correlation of time with")
        print(format_table(*make_correlations(challenge, ours)))
    if args.json:
        write_json(list_entries(challenge, ours), args.json)


def _make_parser(challenges: Mapping[str, Challenge]) -> argparse.ArgumentParser:
    parser = arguments.make_parser(
        "score",
        "Score models by the rules of a challenge, beside its published entries. The default, Mobile AI "
        "2021, weighs PSNR on RGB against the time in which a frame of 640×360 is upscaled ×3.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add(
        "--model",
        action="append",
        default=[],
        help=f"{arguments.MODEL}, of the challenge's scale; repeatable",
    )
    add("--data", default="embedded:eval", help="a folder of images; default %(default)s")
    which = parser.add_mutually_exclusive_group()
    known = "; ".join(f"{name}: {one.task} ({one.report})" for name, one in challenges.items())
    which.add_argument(
        "--challenge",
        choices=challenges,
        help=f"the challenge: {known}; default {_DEFAULT}",
        metavar="NAME",
    )
    which.add_argument(
        "--edition",
        choices=[name.removeprefix("mobile_ai_") for name in challenges if "mobile_ai_" in name],
        default=_DEFAULT.removeprefix("mobile_ai_"),
        help="the year of the Mobile AI challenge, in the place of --challenge; default %(default)s",
    )
    add("--target", help="the NPU whose time is estimated; by default the challenge's, vs680")
    add(
        "--measure",
        action="store_true",
        help="time .tflite files by LiteRT on this CPU, and estimate nothing",
    )
    add(
        "--ms",
        type=float,
        action="append",
        help="the time of a model in ms, if it is known; once per model, in their order",
    )
    add(
        "--niqe",
        type=pathlib.Path,
        help=f"{arguments.NIQE}, for a challenge that is judged by it; the images of --data are then "
        "upscaled as they are",
    )
    add("--json", type=pathlib.Path, help="also write the rows of these models to this file")
    return parser


def _make_timings(args: argparse.Namespace, challenge: Challenge) -> tuple[list[Timing], str]:
    """Returns how each model is timed, and the name of that clock or simulator."""
    from sesr_jax.compare import estimated_time, known_time, measured_time
    from sesr_jax.errors import InputError
    from sesr_jax.targets import find_target

    if args.ms and (len(args.ms) != len(args.model) or args.measure):
        raise InputError(
            f"--ms has {len(args.ms)} values for {len(args.model)} models: give one for each, without "
            "--measure."
        )
    if args.target and (args.ms or args.measure):
        raise InputError("--target is for estimates: leave it out, or --ms and --measure.")
    if args.ms:
        return [known_time(challenge, ms) for ms in args.ms], "given"
    if args.measure:
        return [measured_time(challenge)] * len(args.model), "LiteRT, CPU"
    if not args.model:
        return [], ""
    if not (target := args.target or challenge.target):
        raise InputError(
            f"{challenge.title} was timed on no NPU that is described here: name a --target."
        )
    timing = estimated_time(challenge, find_target(target))
    return [timing] * len(args.model), f"estimate, {target}"
