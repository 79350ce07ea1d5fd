"""``sesr export``: writes a trained network as a file to deploy."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

if TYPE_CHECKING:
    from sesr_jax.export import Options
    from sesr_jax.models.network import Network

_EXAMPLE = """  sesr export --model runs/m5 --size 640x360 --out m5_int8.tflite
  sesr export --model runs/m5 --size 1920x1080 --tile 400x300 --tail transposed_conv --out m5.tflite
  sesr export --model runs/m5_hw_qat --out m5.tflite --target ethos-n78-4tops --max-drop 0.2 --check-on Set5
  sesr export --model runs/xlsr --for ai-benchmark --out phone
  sesr export --model runs/m5 --out m5.onnx --io uint8
  sesr export --model runs/m5 --out m5_half.onnx --precision float16
  sesr export --model runs/m5 --out m5.safetensors
  sesr export --model sesr_m5_x2_qat --web m5_web --serve

A network of luma (Y) gets a file of luma: upscaling chroma bicubically has no TFLite operator, so that
the program that runs the file upscales the colours, as `sesr upscale --model m5.tflite` does."""

_TFLITE, _DEPLOYABLE, _WEIGHTS = (".tflite",), (".tflite", ".onnx"), (".safetensors",)
_SUFFIXES = _DEPLOYABLE + _WEIGHTS
_FOR_PAGE = {"model", "web", "serve", "size", "calibrate", "observer", "converter"}
"""The options of a page for browsers."""

_PORT = 8000

_CHECK_ON = "embedded:eval"


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, exports, and prints what was written."""
    from sesr_jax.export import ai_benchmark_options, ai_benchmark_path, export_weights
    from sesr_jax.export.options import Options

    parser, files = _make_parser()
    given = vars(parser.parse_args(argv))
    if "web" in given:
        _write_page(given)
        return
    if "serve" in given:
        raise InputError(
            f"--serve {given['serve']} is for --web alone; give both, or leave it out."
        )
    choices = {f.name: given[f.name] for f in dataclasses.fields(Options) if f.name in given}
    if "exclude" in choices:
        choices["exclude"] = tuple(choices["exclude"])
    make_options = ai_benchmark_options if "purpose" in given else Options
    if "purpose" in given:
        if "tile" in given:
            raise InputError("--for ai-benchmark writes one whole frame: leave --tile out.")
        given["out"] = ai_benchmark_path(given["out"])
    out = given["out"]
    if out.suffix not in _SUFFIXES:
        raise InputError(f"{out} must end in one of {', '.join(_SUFFIXES)}; choose one.")
    _refuse_idle(given, files)
    if out.suffix in _WEIGHTS:
        expanded = "expanded" in given
        network = export_weights(given["model"], out, expanded=expanded)
        print(_describe_file(out, network, "expanded" if expanded else "collapsed"))
    else:
        _export(given, make_options(**choices))


def _make_parser() -> tuple[argparse.ArgumentParser, dict[str, tuple[str, ...]]]:
    """Returns the parser, and the suffixes of the files that an option is for, if not for all."""
    from sesr_jax.export import CALIBRATION_IMAGES, DEFAULT_SIZE, export_network
    from sesr_jax.export.options import Codes, Converter, Options, Precision
    from sesr_jax.graph import TAILS
    from sesr_jax.quant import CHOSEN, OBSERVERS
    from sesr_jax.web import WEB_TILE

    parser = arguments.make_parser(
        "export",
        "Write a trained network as a file to deploy: TFLite or ONNX, or bare weights. A file is checked: "
        "the collapsed network must equal the expanded one, and LiteRT or ONNX Runtime must compute what the "
        "network does. Beside it stands its golden pair: an input, and the output that the file must give.",
        _EXAMPLE,
    )
    parser.argument_default = argparse.SUPPRESS  # so that it is known what was given
    files = {}

    def add(flag: str, *, of: tuple[str, ...] = _SUFFIXES, **settings: Any) -> None:
        files[parser.add_argument(flag, **settings).dest] = of

    about = arguments.read_attributes(Options)
    observer = inspect.signature(export_network).parameters["observer"].default
    add("--model", required=True, help="a shipped model, a run's folder or a .safetensors file")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument(
        "--out",
        type=pathlib.Path,
        help=f"the file to write, whose suffix decides the format: {', '.join(_SUFFIXES)}",
    )
    place.add_argument(
        "--web",
        type=pathlib.Path,
        metavar="FOLDER",
        help="write a page that upscales photos in a browser, by an INT8 and a float .tflite file for tiles "
        f"of --size, {WEB_TILE[1]}x{WEB_TILE[0]} by default; npm fetches the library that runs them",
    )
    parser.add_argument(
        "--serve",
        type=int,
        nargs="?",
        const=_PORT,
        metavar="PORT",
        help=f"then serve the page of --web to this machine until Ctrl-C; port {_PORT} by default",
    )
    add(
        "--for",
        dest="purpose",
        choices=("ai-benchmark",),
        help="write model.tflite, with uint8 pixels, into the folder --out, as the app AI Benchmark runs "
        "it on a phone; see docs/ai_benchmark.md",
    )
    add(
        "--size",
        of=_DEPLOYABLE,
        type=arguments.parse_size,
        help=f"the width and height of the input; default {DEFAULT_SIZE[1]}x{DEFAULT_SIZE[0]}",
    )
    add(
        "--tile",
        of=_TFLITE,
        type=arguments.parse_size,
        help="also write a file whose input is a tile of this size, such as 400x300",
    )
    add(
        "--precision",
        of=_DEPLOYABLE,
        choices=get_args(Precision),
        help=f"{about['precision']}; default {Options.precision}",
    )
    add(
        "--io",
        of=_DEPLOYABLE,
        choices=get_args(Codes),
        help=about["io"],
    )
    add(
        "--exclude",
        of=_DEPLOYABLE,
        action="append",
        metavar="PATTERN",
        help=f"{about['exclude']}; repeatable",
    )
    add("--tail", of=_DEPLOYABLE, choices=TAILS, help=about["tail"])
    add("--clip", of=_DEPLOYABLE, action="store_true", help=about["clip"])
    add(
        "--calibrate",
        of=_DEPLOYABLE,
        help=f"a folder of images, on the first {CALIBRATION_IMAGES} of which the ranges of an integer file "
        "are measured; by default the file gets the ranges that the network was trained with or, without "
        "such, is measured on embedded:train",
    )
    add(
        "--observer",
        of=_DEPLOYABLE,
        help=f"how ranges are measured: {', '.join(OBSERVERS)}, or {CHOSEN}, for each tensor the one that "
        f"suits it; default {observer}",
    )
    add(
        "--split-concats",
        of=_DEPLOYABLE,
        action="store_true",
        help="write a convolution of a concat as a sum of convolutions, so that the tensors of the concat "
        "need not share one range",
    )
    add(
        "--converter",
        of=_TFLITE,
        choices=get_args(Converter),
        help=f"{about['converter']}; default {Options.converter}",
    )
    add(
        "--cross-check",
        of=_TFLITE,
        action="store_true",
        help="also convert by the other converter, and compare the two files",
    )
    add("--target", of=_TFLITE, help="refuse a file with an operator that this NPU does not run")
    add(
        "--max-ms",
        of=_TFLITE,
        type=arguments.parse_finite,
        metavar="MS",
        help="refuse a file that is estimated to take longer than this on --target, in milliseconds",
    )
    add(
        "--max-drop",
        of=_TFLITE,
        type=arguments.parse_finite,
        metavar="DB",
        help="refuse a file that loses more PSNR than this, in dB",
    )
    add(
        "--check-on",
        of=_TFLITE,
        help=f"the images on which --max-drop measures; default {_CHECK_ON}",
    )
    add(
        "--expanded",
        of=_WEIGHTS,
        action="store_true",
        help="write the expanded weights, as trained, to a .safetensors file",
    )
    return parser, files


def _write_page(given: Mapping[str, Any]) -> None:
    """Writes the page of --web, prints its files, and serves it if that is asked for."""
    from sesr_jax.export import find_calibration
    from sesr_jax.pretrained import find_network
    from sesr_jax.web import make_server, write_web_page

    if idle := ", ".join(f"--{name.replace('_', '-')}" for name in given if name not in _FOR_PAGE):
        raise InputError(f"{idle}: not for the page of --web {given['web']}; leave it out.")
    server = make_server(given["web"], given["serve"]) if "serve" in given else None
    network = find_network(given["model"])
    _check_observer(given, network)
    files = write_web_page(
        network,
        given["web"],
        calibration=find_calibration(network, given.get("calibrate")),
        **{name: given[name] for name in ("size", "observer", "converter") if name in given},
    )
    for file, kind in zip(files, ("INT8", "float32"), strict=True):
        print(_describe_file(file, network, kind))
    print(f"page: {given['web'] / 'index.html'}, to be opened from a server")
    if server is not None:
        print(f"serving http://127.0.0.1:{server.server_port}/ until Ctrl-C", flush=True)
        server.serve_forever()


def _refuse_idle(given: Mapping[str, Any], files: Mapping[str, tuple[str, ...]]) -> None:
    """Refuses the options that would have no effect, instead of passing over them in silence."""
    for suffixes in (_TFLITE, _DEPLOYABLE, _WEIGHTS):
        idle = [option for option, of in files.items() if of == suffixes and option in given]
        if idle and given["out"].suffix not in suffixes:
            flags = ", ".join(f"--{option.replace('_', '-')}" for option in idle)
            raise InputError(
                f"{flags}: for {' and '.join(suffixes)} files alone, not {given['out']}; leave it out."
            )
    from sesr_jax.export.options import Options

    precision = given.get("precision", Options.precision)
    idle = (
        [] if Options(precision=precision).integer else ["calibrate", "observer", "split_concats"]
    )
    idle += [] if precision == "int8" else ["io"]
    if flags := ", ".join(f"--{name.replace('_', '-')}" for name in idle if name in given):
        raise InputError(f"{flags}: a file of {precision} has no use for it; leave it out.")
    if "max_ms" in given and "target" not in given:
        raise InputError(f"--max-ms {given['max_ms']:g} is a time on an NPU: name one by --target.")
    if "check_on" in given and "max_drop" not in given:
        raise InputError(
            f"--check-on {given['check_on']} checks nothing without --max-drop; give both, or leave it out."
        )


def _export(given: Mapping[str, Any], options: Options) -> None:
    """Exports a TFLite or ONNX file, and prints what was checked."""
    from sesr_jax.data import open_source
    from sesr_jax.export import export_network, find_calibration, golden_path, list_proofs
    from sesr_jax.npu import check_accepted, check_latency
    from sesr_jax.pretrained import find_network
    from sesr_jax.targets import find_target
    from sesr_jax.upscale import check_drop

    network = find_network(given["model"])
    _check_observer(given, network)
    target = find_target(given["target"]) if "target" in given else None
    images = None
    if "max_drop" in given:
        images = open_source(given.get("check_on", _CHECK_ON), network.scale)
    drops, times = [], []

    def accept(path: pathlib.Path) -> None:
        if target is not None:
            check_accepted(path, target)
            if "max_ms" in given:
                times.append(check_latency(path, target, given["max_ms"]))
        if images is not None:
            drops.append(check_drop(network, path, images, given["max_drop"]))

    choices = ("size", "tile", "observer", "cross_check", "split_concats")
    files = export_network(
        network,
        given["out"],
        calibration=find_calibration(network, given.get("calibrate")) if options.integer else None,
        options=options,
        accept=accept,
        **{name: given[name] for name in choices if name in given},
    )
    for file in files:
        print(
            _describe_file(
                file, network, "INT8" if options.precision == "int8" else options.precision
            )
        )
        print(*list_proofs(file), sep="\n")
        print(f"golden pair: {golden_path(file)}")
    for time in times:
        print(f"estimated on {given['target']}: {time:.2f} ms")
    for drop in drops:
        print(f"PSNR lost: {drop:.3f} dB")


def _check_observer(given: Mapping[str, Any], network: Network) -> None:
    if "observer" in given and network.ranges is not None and "calibrate" not in given:
        raise InputError(
            f"--observer {given['observer']} has nothing to observe: {given['model']} was trained with "
            "ranges; give --calibrate for others, or leave it out."
        )


def _describe_file(file: pathlib.Path, network: Network, kind: str) -> str:
    return f"{file}: {network.name} ×{network.scale}, {kind}, {file.stat().st_size / 1e3:.1f} kB"
