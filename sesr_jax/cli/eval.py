"""``sesr eval``: PSNR and SSIM of models on sets of images."""

import json
import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr eval --model sesr_m5_x2 --model bicubic_x2 --data Set5 --data Set14
  sesr eval --model model_int8.tflite --model model.onnx --data embedded:eval --json scores.json
  sesr eval --model runs/m5 --model runs/m5_qat --data Set5 --data B100 --html quality.html"""


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
        help="a folder of images, or with HR and LR_bicubic/X2 … (which the RGB protocols read; y makes its "
        "low resolutions itself, as papers do), or embedded:eval; repeatable",
    )
    parser.add_argument(
        "--protocol",
        help="y (as most papers), rgb8, rgb or mobile_ai; by default y, or rgb where a model takes RGB",
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write every image's scores there")
    parser.add_argument(
        "--html",
        type=pathlib.Path,
        help="also write a page: PSNR against MACs beside published figures, and the images on which "
        "each model gains and loses most against the first one, or bicubic, with maps of the errors",
    )
    args = parser.parse_args(argv)

    from sesr_jax import report
    from sesr_jax.compare import Measured, finite, measure, quality_page, short_names
    from sesr_jax.compare.page import list_columns
    from sesr_jax.files import check_writable, replace_file
    from sesr_jax.metrics import find_protocol, native_protocol
    from sesr_jax.upscale import load_upscaler

    chosen = find_protocol(args.protocol) if args.protocol else None
    upscalers = [load_upscaler(model) for model in args.model]
    protocol = chosen or native_protocol(max(upscaler.channels for upscaler in upscalers))
    for file in filter(None, (args.json, args.html)):
        check_writable(file)
    scores = [measure(u, args.data, protocol) for u in upscalers]
    measured = [
        Measured(title=title, upscaler=u, scores=tuple(of_u))
        for title, u, of_u in zip(short_names(args.model), upscalers, scores, strict=True)
    ]
    print(f"PSNR in dB / SSIM, protocol {protocol.name}; MACs for an output of 1280×720")
    print(report.text_table([one.cells for one in measured], list_columns(measured)))
    if args.json:
        results = [
            {"model": model, "scale": one.upscaler.scale, "macs": one.macs}
            | {
                "data": score.data,
                "mean": finite(score.mean),
                "pictures": {name: finite(values) for name, values in score.pictures.items()},
            }
            for model, one in zip(args.model, measured, strict=True)
            for score in one.scores
        ]
        with replace_file(args.json) as temporary:
            content = {"protocol": protocol.name, "results": results}
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    if args.html:
        report.write_page(quality_page(measured, protocol), args.html)
        print(f"page: {args.html}")
