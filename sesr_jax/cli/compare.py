"""``sesr compare``: what INT8 costs networks, on sets of images."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr compare --model runs/m5 --qat runs/m5_qat --data Set5 --data Set14 --out runs/int8
  sesr compare --model runs/abpn --data Set5 --out runs/int8    # by abpn_x3, which trains for INT8 itself"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, exports and measures, and prints a table."""
    parser = arguments.make_parser(
        "compare",
        "Measure float networks beside their INT8 files, which are written on the way.",
        _EXAMPLE,
    )
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        help="a float network, or one whose own recipe trains for INT8: a shipped model, a run's folder or a "
        ".safetensors file; the latter is compared with its own weights, run in float; repeatable",
    )
    parser.add_argument(
        "--qat",
        action="append",
        default=[],
        help="one of the float networks, trained on for INT8; repeatable",
    )
    parser.add_argument(
        "--data", action="append", required=True, help="a folder of images; repeatable"
    )
    parser.add_argument(
        "--calibrate",
        help="a folder of images, on the first 32 of which the ranges of the files without training for "
        "INT8 are measured; default embedded:train",
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="also say which layers the loss comes from: of the best file without training for INT8 or, "
        "where there is none, of the file trained for it, on the first four images",
    )
    parser.add_argument(
        "--out", required=True, type=pathlib.Path, help="the folder for the INT8 files and the page"
    )
    args = parser.parse_args(argv)

    from sesr_jax.compare import (
        choose_calibration,
        describe_forms,
        list_costs,
        make_layer_table,
        make_table,
        measure_int8_cost,
        pair_cases,
        write_json,
    )
    from sesr_jax.data import open_source
    from sesr_jax.pretrained import find_network
    from sesr_jax.report import format_table

    arguments.allow_large_images()
    cases = pair_cases(
        [find_network(model) for model in args.model], [find_network(model) for model in args.qat]
    )
    calibrate = choose_calibration(cases, args.calibrate)
    calibration = open_source(calibrate) if calibrate else ()
    rows = measure_int8_cost(cases, args.data, calibration, args.out, layers=args.layers)
    print(*describe_forms(rows), sep="\n")
    print(format_table(*make_table(rows)))
    for row in rows:
        if row.layers:
            print(f"\n{row.model}, {row.form}: what its parts cost, in dB of PSNR")
            print(format_table(*make_layer_table(row.layers)))
    print(f"page and files: {args.out}")
    write_json(list_costs(rows), args.out / "scores.json")
