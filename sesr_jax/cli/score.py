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
    add("--target", help="the NPU whose time is estimated; default vs680")
    add("--measure", action="store_true", help="time .tflite files on this CPU instead, by LiteRT")
    add(
        "--ms", type=float, action="append", help="the time of each model, in order, if it is known"
    )
    add("--edition", choices=tuple(CONSTANTS), default="2021", help="default %(default)s")
    add("--json", type=pathlib.Path, help="also write our rows there")
    args = parser.parse_args(argv)

    import dataclasses

    from sesr_jax.compare import entered, estimated, finite, given, leaderboard, measured
    from sesr_jax.errors import InputError
    from sesr_jax.files import replace_file
    from sesr_jax.metrics import score
    from sesr_jax.report import text_table
    from sesr_jax.targets import find_target

    if args.ms and (len(args.ms) != len(args.model) or args.measure):
        raise InputError(
            f"--ms has {len(args.ms)} values for {len(args.model)} models: give one for each, without "
            "--measure."
        )
    if args.target and (args.ms or args.measure):
        raise InputError("--target is for estimates: leave it out, or --ms and --measure.")
    if args.ms:
        timings, by = [given(ms) for ms in args.ms], "given"
    elif args.measure:
        timings, by = [measured] * len(args.model), "LiteRT, CPU"
    else:
        target = args.target or "vs680"
        timings, by = [estimated(find_target(target))] * len(args.model), f"estimate, {target}"
    ours = [
        entered(model, args.data, timing=timing, by=by)
        for model, timing in zip(args.model, timings, strict=True)
    ]
    print(
        f"PSNR in dB and SSIM on RGB, one pixel of border cut; ours on {args.data}, the others' on DIV2K; "
        f"scores by the formula of {args.edition}"
    )
    print(text_table(*leaderboard(ours, args.edition), "<<>>>>>"))
    if args.json:
        rows = []
        for one in ours:
            points = score(one.psnr, one.milliseconds, args.edition)
            rows.append(dataclasses.asdict(one) | finite({"psnr": one.psnr, "score": points}))
        with replace_file(args.json) as temporary:
            temporary.write_text(json.dumps(rows, indent=2, allow_nan=False), encoding="utf-8")
