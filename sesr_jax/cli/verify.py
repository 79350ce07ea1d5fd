"""``sesr verify``: whether a TFLite or ONNX file still computes its golden output."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

_EXAMPLE = """  sesr verify m5_int8.tflite
  sesr verify m5_int8.tflite --golden elsewhere/m5_int8.golden.npz
  sesr verify m5.onnx"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, replays the golden pair on every kernel set, and prints a table."""
    parser = arguments.make_parser(
        "verify",
        "Run a TFLite or ONNX file on the input of its golden pair, which `sesr export` wrote beside it, by "
        "every kernel set of LiteRT or ONNX Runtime. The set that computed the pair must give the same "
        "output, code for code.",
        _EXAMPLE,
    )
    parser.add_argument("file", type=pathlib.Path, help="a .tflite or .onnx file")
    parser.add_argument(
        "--golden", help="the golden pair (.npz); by default the one beside the file"
    )
    args = parser.parse_args(argv)

    from sesr_jax.export import replay_golden
    from sesr_jax.report import format_table

    results = replay_golden(args.file, args.golden)
    rows = [
        (
            replay.kernels + (" (golden)" if replay.golden else ""),
            "–" if replay.difference is None else f"{replay.difference:g}",
            f"{replay.share:.2%}" if replay.difference is not None else replay.failure,
        )
        for replay in results
    ]
    print(format_table(rows, ["kernels", "largest difference", "elements that differ"], "<><"))
    (golden,) = (replay for replay in results if replay.golden)
    if not golden.holds:
        raise InputError(
            f"{args.file} differs from its golden output by up to {golden.difference:g} on the "
            f"{golden.kernels} kernels that made it; the file or the runtime is another: export it again."
        )
