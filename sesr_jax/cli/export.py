"""``sesr export``: a trained network as a TFLite file."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr export --model runs/m5 --size 640x360 --out m5_int8.tflite
  sesr export --model runs/m5 --size 640x360 --out m5.tflite --float"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, exports, and says what was written."""
    parser = arguments.parser(
        "export", "Write a TFLite file, full INT8 unless told otherwise.", _EXAMPLE
    )
    parser.add_argument(
        "--model", required=True, help="a shipped model, a run's folder or a .safetensors file"
    )
    parser.add_argument(
        "--size", type=arguments.size, default=(360, 640), help="input, 640x360 by default"
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the .tflite file to write")
    parser.add_argument("--float", action="store_true", help="keep float32")
    parser.add_argument(
        "--io", choices=("int8", "uint8"), default="int8", help="of an INT8 file's pixels"
    )
    parser.add_argument(
        "--calibrate",
        default="embedded:train",
        help="the images whose ranges an INT8 file gets: a folder; default %(default)s",
    )
    args = parser.parse_args(argv)

    from sesr_jax.data import source
    from sesr_jax.export import export_network
    from sesr_jax.pretrained import find_network

    network = find_network(args.model).collapsed()
    pictures = None if args.float else source(args.calibrate)
    export_network(network, args.out, size=args.size, calibration=pictures, io_dtype=args.io)
    kind = "float32" if args.float else "INT8"
    print(
        f"{args.out}: {network.name} ×{network.scale}, {kind}, {args.out.stat().st_size / 1e3:.1f} kB"
    )
