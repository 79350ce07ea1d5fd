"""``sesr eval``: PSNR and SSIM of models on sets of images."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr eval --model sesr_m5_x2 --model bicubic_x2 --data Set5 --data Set14
  sesr eval --model model_int8.tflite --model model.onnx --data embedded:eval --json scores.json
  sesr eval --model runs/m5 --model runs/m5_qat --data Set5 --data B100 --html quality.html
  sesr eval --model sesr_m11_real_x4 --model bicubic_x4 --data photos --protocol degraded"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, evaluates, and prints a table of the means."""
    parser = arguments.make_parser("eval", "Measure models on folders of images.", _EXAMPLE)
    parser.add_argument(
        "--model", action="append", required=True, help=f"{arguments.MODEL}; repeatable"
    )
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        help="a folder of images in high resolution, or embedded:eval, three photos that scikit-image "
        "ships; a folder may also hold HR and LR_bicubic/X2, whose low resolutions the RGB protocols "
        "read; repeatable",
    )
    parser.add_argument(
        "--protocol",
        help="how PSNR and SSIM are computed: y (on luma, as in most papers), rgb8, rgb, mobile_ai, or "
        "degraded (rgb, from photos that are degraded as by sesr degrade); by default y, or rgb where a "
        "model takes RGB",
    )
    parser.add_argument(
        "--niqe",
        type=pathlib.Path,
        help=f"{arguments.NIQE}: NIQE is measured too, by a protocol of RGB",
    )
    parser.add_argument("--range", type=int, choices=(1, 255), help=arguments.RANGE)
    parser.add_argument(
        "--json", type=pathlib.Path, help="also write the scores of every image to this file"
    )
    parser.add_argument(
        "--html",
        type=pathlib.Path,
        help="also write this page: PSNR against MACs beside published figures, and the images on which "
        "each model gains and loses most against the first one, or bicubic, with maps of the errors",
    )
    args = parser.parse_args(argv)

    from sesr_jax import report
    from sesr_jax.compare import (
        list_quality,
        make_quality_page,
        measure_all,
        name_scores,
        write_json,
    )
    from sesr_jax.compare.page import list_columns
    from sesr_jax.files import check_writable
    from sesr_jax.metrics import choose_protocol, find_protocol, read_niqe_model
    from sesr_jax.upscale import is_exported, load_upscaler

    arguments.allow_large_images()
    niqe_model = read_niqe_model(args.niqe) if args.niqe else None
    chosen = find_protocol(args.protocol) if args.protocol else None
    upscalers = [
        load_upscaler(model, "xla", white=args.range if is_exported(model) else None)
        for model in args.model
    ]
    protocol = chosen or choose_protocol(max(upscaler.channels for upscaler in upscalers))
    for file in filter(None, (args.json, args.html)):
        check_writable(file)
    measured = measure_all(upscalers, args.model, args.data, protocol, niqe_model)
    scores = name_scores(measured[0].scores[0])
    print(f"{scores}, protocol {protocol.name}; MACs for an output of 1280×720")
    print(report.format_table([one.cells for one in measured], list_columns(measured)))
    if args.json:
        write_json(list_quality(measured, args.model, protocol), args.json)
    if args.html:
        report.write_page(make_quality_page(measured, protocol), args.html)
        print(f"page: {args.html}")
