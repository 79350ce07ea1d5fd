"""``sesr eval``: PSNR and SSIM of models on sets of images."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr eval --model sesr_m5_x2 --model bicubic_x2 --data Set5 --data Set14
  sesr eval --model model_int8.tflite --data embedded:eval --json scores.json"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, evaluates, and prints a table of the means."""
    parser = arguments.parser("eval", "Measure models on folders of images.", _EXAMPLE)
    parser.add_argument(
        "--model", action="append", required=True, help=f"{arguments.MODEL}; repeatable"
    )
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        help="a folder of images, or with HR and LR_bicubic/X2 …, or embedded:eval; repeatable",
    )
    parser.add_argument(
        "--protocol", default="y", help="y (as most papers), rgb8 or rgb; default %(default)s"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write every picture's scores there")
    args = parser.parse_args(argv)

    from sesr_jax.compare import measure
    from sesr_jax.files import replacing
    from sesr_jax.metrics import find_protocol
    from sesr_jax.report import text_table
    from sesr_jax.upscale import load_upscaler

    protocol = find_protocol(args.protocol)
    upscalers = [load_upscaler(model) for model in args.model]
    rows: list[list[Any]] = []
    results: list[dict[str, Any]] = []
    for model, upscaler in zip(args.model, upscalers, strict=True):
        scores = list(measure(upscaler, args.data, protocol))
        rows.append([model, f"×{upscaler.scale}", *map(str, scores)])
        facts = {"model": model, "scale": upscaler.scale}
        results += [facts | {"data": s.data, "mean": s.mean, **s.pictures} for s in scores]
    print(f"PSNR in dB / SSIM, protocol {protocol.name}")
    print(text_table(rows, ["model", "scale", *(pathlib.Path(d).name for d in args.data)]))
    if args.json:
        with replacing(args.json) as temporary:
            content = {"protocol": protocol.name, "results": results}
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
