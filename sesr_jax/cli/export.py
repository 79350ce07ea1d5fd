"""``sesr export``: a trained network as a file to deploy."""

import argparse
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, get_args

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError
from sesr_jax.models.network import Network

_EXAMPLE = """  sesr export --model runs/m5 --size 640x360 --out m5_int8.tflite
  sesr export --model runs/m5 --size 1920x1080 --tile 400x300 --tail transposed_conv --out m5.tflite
  sesr export --model runs/m5_hw_qat --out m5.tflite --target ethos-n78-4tops --max-drop 0.2 --check-on Set5
  sesr export --model runs/xlsr --for ai-benchmark --out phone
  sesr export --model runs/m5 --out m5.onnx
  sesr export --model runs/m5 --out m5.safetensors

A network of luma (Y) gets a file of luma: upscaling chroma bicubically has no TFLite operator, so that
the program that runs the file upscales the colours, as `sesr upscale --model m5.tflite` does."""

_APP_FILE = "model.tflite"


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, exports, and says what was written."""
    given = _parser().parse_args(argv)
    if "purpose" in given:
        _for_ai_benchmark(given)
    args = argparse.Namespace(**_DEFAULTS | vars(given))
    if args.out.suffix not in _WRITERS:
        raise InputError(f"{args.out} must end in one of {', '.join(_WRITERS)}; choose one.")
    _refuse_idle(given)
    from sesr_jax.pretrained import find_network

    network = find_network(args.model)
    if "observer" in given and network.ranges is not None and not args.calibrate:
        raise InputError(
            f"--observer {args.observer} has nothing to observe: {args.model} was trained with ranges; "
            "give --calibrate for others, or leave it out."
        )
    _WRITERS[args.out.suffix](network, args)


def _parser() -> argparse.ArgumentParser:
    from sesr_jax.export.options import Codes, Converter, Precision
    from sesr_jax.graph import TAILS

    parser = arguments.parser(
        "export",
        "Write a trained network as a file to deploy: TFLite or ONNX, or bare weights. A TFLite file is "
        "checked: the collapsed network must equal the expanded one. Beside it stands its golden pair, an "
        "input and the output that the file must give.",
        _EXAMPLE,
    )
    parser.argument_default = argparse.SUPPRESS  # so that it is known what was given
    add = parser.add_argument
    add("--model", required=True, help="a shipped model, a run's folder or a .safetensors file")
    add(
        "--out",
        required=True,
        type=pathlib.Path,
        help=f"the file to write, whose suffix decides the format: {', '.join(_WRITERS)}",
    )
    add(
        "--for",
        dest="purpose",
        choices=("ai-benchmark",),
        help="write model.tflite, with uint8 pixels, into the folder --out, as the app AI Benchmark runs "
        "it on a phone; see docs/ai_benchmark.md",
    )
    add("--size", type=arguments.size, help="the width and height of the input; default 640x360")
    add(
        "--tile",
        type=arguments.size,
        help="also write a file whose input is a tile of this size, such as 400x300",
    )
    add(
        "--precision",
        choices=get_args(Precision),
        help="int8 (default); int16 (16-bit activations, 8-bit weights); dynamic (8-bit weights, ranges "
        "measured while it runs); weights (8-bit weights, float arithmetic); float16 or float32",
    )
    add("--io", choices=get_args(Codes), help="the type of an INT8 file's pixels; default int8")
    add(
        "--exclude",
        action="append",
        metavar="PATTERN",
        help="layers that stay float, such as 'tail/*'; repeatable",
    )
    add(
        "--tail",
        choices=TAILS,
        help="how the last channels become pixels; none leaves that to the program that runs the file",
    )
    add("--clip", action="store_true", help="limit the output to [0, 1] by an operator of its own")
    add(
        "--calibrate",
        help="a folder of images, on the first 32 of which the ranges of an integer file are measured; by "
        "default the file gets the ranges that the network was trained with or, without such, is measured "
        "on embedded:train",
    )
    add("--observer", help="how ranges are measured: min_max (default), percentile or mse")
    add(
        "--converter",
        choices=get_args(Converter),
        help="TensorFlow's converter, by jax2tf (default), or LiteRT's",
    )
    add(
        "--cross-check",
        action="store_true",
        help="also convert by the other converter, and compare the two files",
    )
    add("--target", help="refuse a file with an operator that this NPU does not run")
    add(
        "--max-drop",
        type=arguments.finite,
        metavar="DB",
        help="refuse a file that loses more PSNR than this, in dB",
    )
    add("--check-on", help="the images on which --max-drop measures; default embedded:eval")
    add(
        "--expanded",
        action="store_true",
        help="write the expanded weights, as trained, to a .safetensors file",
    )
    return parser


def _for_ai_benchmark(given: argparse.Namespace) -> None:
    """Sets the pixels' type and the file that is written: the app looks for one of that name."""
    name: str = given.out.name
    if given.out.suffix in _WRITERS and name != _APP_FILE:
        raise InputError(
            f"--for ai-benchmark writes {_APP_FILE}, not {name}: give --out a folder, or that name."
        )
    if "tile" in given:
        raise InputError("--for ai-benchmark writes one whole frame: leave --tile out.")
    pixels = getattr(given, "io", "uint8"), getattr(given, "precision", "int8")
    if pixels[0] == "int8" or pixels[1] == "int16":
        raise InputError(
            "--for ai-benchmark writes pixels of uint8 or float: leave --io int8 and --precision int16 out."
        )
    if pixels[1] == "int8":
        given.io = "uint8"
    if name != _APP_FILE:
        given.out /= _APP_FILE


_TFLITE, _DEPLOYABLE, _WEIGHTS = (".tflite",), (".tflite", ".onnx"), (".safetensors",)

_FOR = {
    **dict.fromkeys(("target", "max_drop", "check_on", "tile"), _TFLITE),
    **dict.fromkeys(("io", "converter", "cross_check"), _TFLITE),
    **dict.fromkeys(("size", "precision", "exclude", "tail", "clip"), _DEPLOYABLE),
    **dict.fromkeys(("calibrate", "observer"), _DEPLOYABLE),
    "expanded": _WEIGHTS,
}
"""The files that an option is for."""

_INTEGER = ("int8", "int16")
"""The precisions whose files have ranges."""

_DEFAULTS: dict[str, Any] = {
    "size": (360, 640),
    "tile": None,
    "precision": "int8",
    "io": "int8",
    "exclude": (),
    "tail": None,
    "clip": False,
    "calibrate": None,
    "observer": "min_max",
    "converter": "jax2tf",
    "cross_check": False,
    "target": None,
    "max_drop": None,
    "check_on": "embedded:eval",
    "expanded": False,
}


def _refuse_idle(given: argparse.Namespace) -> None:
    """What would be passed over in silence."""
    for suffixes in (_TFLITE, _DEPLOYABLE, _WEIGHTS):
        idle = [o for o, theirs in _FOR.items() if theirs == suffixes and o in given]
        if idle and given.out.suffix not in suffixes:
            flags = ", ".join(f"--{option.replace('_', '-')}" for option in idle)
            raise InputError(
                f"{flags}: for {' and '.join(suffixes)} files alone, not {given.out}; leave it out."
            )
    precision = getattr(given, "precision", _DEFAULTS["precision"])
    integer = [o for o in ("calibrate", "observer") if o in given and precision not in _INTEGER]
    if idle := integer + ["io"] * ("io" in given and precision != "int8"):
        raise InputError(
            f"{', '.join(f'--{option}' for option in idle)}: a file of {precision} has no use for it; "
            "leave it out."
        )
    if "check_on" in given and "max_drop" not in given:
        raise InputError(
            f"--check-on {given.check_on} checks nothing without --max-drop; give both, or leave it out."
        )


def _write_weights(network: Network, args: argparse.Namespace) -> None:
    from sesr_jax.models.network import save
    from sesr_jax.train.checkpoint import read_config

    trained_here = pathlib.Path(args.model).is_dir()
    facts = {"training": read_config(args.model).to_json()} if trained_here else {}
    save(network if args.expanded else network.collapsed(), args.out, **facts)
    print(_line(args.out, network, "expanded" if args.expanded else "collapsed"))


def _write_deployable(network: Network, args: argparse.Namespace) -> None:
    """A TFLite or ONNX file."""
    from sesr_jax.data import source
    from sesr_jax.export import Options, export_network, golden_path, read_metadata
    from sesr_jax.npu import check_accepted
    from sesr_jax.targets import find_target
    from sesr_jax.upscale import check_drop

    target = None if args.target is None else find_target(args.target)
    pictures = None if args.max_drop is None else source(args.check_on, network.scale)
    options = Options(
        precision=args.precision,
        exclude=tuple(args.exclude),
        io=args.io,
        tail=args.tail,
        clip=args.clip,
        converter=args.converter,
    )
    drops = []

    def accept(path: pathlib.Path) -> None:
        if target is not None:
            check_accepted(path, target)
        if pictures is not None:
            drops.append(check_drop(network, path, pictures, args.max_drop))

    calibrate = args.calibrate or ("embedded:train" if network.ranges is None else None)
    files = export_network(
        network,
        args.out,
        size=args.size,
        tile=args.tile,
        calibration=source(calibrate) if options.integer and calibrate else None,
        observer=args.observer,
        options=options,
        accept=accept,
        cross_check=args.cross_check,
    )
    for file in files:
        print(_line(file, network, "INT8" if args.precision == "int8" else args.precision))
        if file.suffix != ".tflite":
            continue
        told = read_metadata(file)
        if (difference := told["collapse"]["difference"]) is not None:
            print(f"collapsed and expanded network: {difference:.1e} apart")
        if "codes" in told:
            print("codes: all as the integer reference computes them")
        if "cross_check" in told:
            print(
                "the file by {converter}: {largest_difference:g} apart".format(
                    **told["cross_check"]
                )
            )
        print(f"golden pair: {golden_path(file)}")
    for drop in drops:
        print(f"PSNR lost: {drop:.3f} dB")


def _line(file: pathlib.Path, network: Network, kind: str) -> str:
    return f"{file}: {network.name} ×{network.scale}, {kind}, {file.stat().st_size / 1e3:.1f} kB"


_WRITERS: dict[str, Callable[[Network, argparse.Namespace], None]] = {
    ".tflite": _write_deployable,
    ".onnx": _write_deployable,
    ".safetensors": _write_weights,
}
"""By suffix, what writes a network for the parsed arguments."""
