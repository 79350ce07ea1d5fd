"""``sesr export``: a trained network as a TFLite, ONNX or safetensors file."""

import pathlib
from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr export --model runs/m5 --size 640x360 --out m5_int8.tflite
  sesr export --model runs/m5 --size 640x360 --out m5.tflite --float
  sesr export --model runs/m5 --out m5.onnx
  sesr export --model runs/m5 --out m5.safetensors"""

_SUFFIXES = (".tflite", ".onnx", ".safetensors")


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, exports, and says what was written."""
    parser = arguments.parser(
        "export",
        "Write a TFLite or ONNX file, full INT8 unless told otherwise, or bare weights.",
        _EXAMPLE,
    )
    parser.add_argument(
        "--model", required=True, help="a shipped model, a run's folder or a .safetensors file"
    )
    parser.add_argument(
        "--size", type=arguments.size, default=(360, 640), help="input, 640x360 by default"
    )
    parser.add_argument(
        "--out", required=True, type=pathlib.Path, help=f"the file to write: {', '.join(_SUFFIXES)}"
    )
    parser.add_argument("--float", action="store_true", help="keep float32")
    parser.add_argument(
        "--io", choices=("int8", "uint8"), default="int8", help="of an INT8 .tflite file's pixels"
    )
    parser.add_argument(
        "--expanded", action="store_true", help="a .safetensors file of the weights as trained"
    )
    parser.add_argument(
        "--calibrate",
        default="embedded:train",
        help="the images whose ranges an INT8 file gets: a folder; default %(default)s",
    )
    args = parser.parse_args(argv)

    from sesr_jax.data import source
    from sesr_jax.errors import InputError
    from sesr_jax.export import export_network
    from sesr_jax.models.network import save
    from sesr_jax.pretrained import find_network
    from sesr_jax.train.checkpoint import read_config

    weights = args.out.suffix == ".safetensors"
    if args.out.suffix not in _SUFFIXES:
        raise InputError(f"{args.out} must end in one of {', '.join(_SUFFIXES)}; choose one.")
    if args.expanded and not weights:
        raise InputError(f"--expanded is for .safetensors files, not {args.out}: leave it out.")
    network = find_network(args.model)
    if not args.expanded:
        network = network.collapsed()
    if weights:
        trained_here = pathlib.Path(args.model).is_dir()
        facts = {"training": read_config(args.model).to_json()} if trained_here else {}
        save(network, args.out, **facts)
        kind = "expanded" if args.expanded else "collapsed"
    else:
        pictures = None if args.float else source(args.calibrate)
        export_network(network, args.out, size=args.size, calibration=pictures, io_dtype=args.io)
        kind = "float32" if args.float else "INT8"
    print(
        f"{args.out}: {network.name} ×{network.scale}, {kind}, {args.out.stat().st_size / 1e3:.1f} kB"
    )
