"""``sesr score``: the Mobile AI challenge's table, ours beside the published rows."""

import json
import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr score --model runs/xlsr --model bicubic_x3 --data DIV2K_valid_HR
  sesr score --model model.tflite --data DIV2K_valid_HR --measure
  sesr score --model model.tflite --data DIV2K_valid_HR --ms 31.5     # read off a phone"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, measures, and prints the table."""
    from sesr_jax.metrics.challenge import CONSTANTS

    parser = arguments.parser(
        "score",
        "Score ×3 models as the Mobile AI challenges did: PSNR on RGB against the time of a frame of "
        "640×360, beside the published entries.",
        _EXAMPLE,
    )
    add = parser.add_argument
    add("--model", action="append", default=[], help=f"{arguments.MODEL}, of ×3; repeatable")
    add("--data", default="embedded:eval", help="a folder of images; default %(default)s")
    add("--target", default="vs680", help="the NPU whose time is estimated; default %(default)s")
    add("--measure", action="store_true", help="time .tflite files on this CPU instead, by LiteRT")
    add(
        "--ms", type=float, action="append", help="the time of each model, in order, if it is known"
    )
    add("--edition", choices=tuple(CONSTANTS), default="2021", help="default %(default)s")
    add("--json", type=pathlib.Path, help="also write our rows there")
    args = parser.parse_args(argv)

    import dataclasses

    from sesr_jax.compare import entered, estimated, leaderboard, measured
    from sesr_jax.errors import InputError
    from sesr_jax.files import replacing
    from sesr_jax.metrics import score
    from sesr_jax.npu import find_target
    from sesr_jax.report import text_table

    if args.ms and (len(args.ms) != len(args.model) or args.measure):
        raise InputError(
            f"--ms has {len(args.ms)} values for {len(args.model)} models: give one for each, without "
            "--measure."
        )
    given = dict(zip(args.model, args.ms or (), strict=False))
    if args.ms:
        timing, by = given.__getitem__, "given"
    elif args.measure:
        timing, by = measured, "LiteRT, CPU"
    else:
        timing, by = estimated(find_target(args.target)), f"estimate, {args.target}"
    ours = [entered(model, args.data, timing=timing, by=by) for model in args.model]
    print(
        f"PSNR in dB and SSIM on RGB, one pixel of border cut; ours on {args.data}, the others' on DIV2K; "
        f"scores by the formula of {args.edition}"
    )
    print(text_table(*leaderboard(ours, args.edition), "<<>>>>>"))
    if args.json:
        rows = [
            dataclasses.asdict(one) | {"score": score(one.psnr, one.milliseconds, args.edition)}
            for one in ours
        ]
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=2), encoding="utf-8")
