"""Measures what full INT8 costs the official networks for efficient super-resolution, and how fast NPUs are.

    python -m benchmarks.official_int8 FOLDER --data SETS --set Set5

FOLDER holds the authors' files, as for `benchmarks.official`. Each observer measures ranges, and that one is
taken whose file is nearest to the float network on the photos of the calibration. The export proves it code
for code against LiteRT's reference kernels. LiteRT then runs a file for the size of each image, since many
files hold sizes (of a map that is resized back, or of a mean). PSNR is that of the protocol rgb8, on luma.

Milliseconds are estimates for an image of 256×256, AIM 2020's frame. An NPU without depth_to_space gets a
transposed convolution in its place. In brackets are the operations that an NPU does not run: of these the
memory traffic alone is counted.
"""

import dataclasses
import json
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks.official import SETS, list_files, make_parser
from sesr_jax.challenges import AIM_2020
from sesr_jax.compare import measure
from sesr_jax.data import open_source
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, export_tflite, to_tflite
from sesr_jax.export.network import trace_collapsed
from sesr_jax.files import write_file
from sesr_jax.graph import with_tail
from sesr_jax.metrics import RGB8, choose_protocol
from sesr_jax.models.network import Network
from sesr_jax.npu import Report, estimate, layers_from_graph
from sesr_jax.pretrained import find_network
from sesr_jax.quant import OBSERVERS, Ranges, calibrate
from sesr_jax.report import format_table
from sesr_jax.targets import Target, find_target
from sesr_jax.upscale import from_network

TARGETS = ("ethos-u85-2048", "ethos-n78-4tops", "vs680", "bm1684x-int8")


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints the table."""
    parser = make_parser(__doc__, SETS[:2])
    parser.add_argument("--calibrate", default="embedded:train", help="images; default %(default)s")
    parser.add_argument("--target", action="append", help="an NPU; default four of them")
    args = parser.parse_args(argv)

    sets, targets = args.set or SETS[:2], args.target or TARGETS
    folders = [str((args.data or args.folder) / name) for name in sets]
    results, rows = {}, []
    paths, absent = list_files(args.folder, args.only)
    for path in tqdm(paths, desc="networks", disable=None):
        try:
            found = measure_network(find_network(path), folders, args.calibrate, targets)
        except InputError as error:
            raise SystemExit(str(error)) from error
        results[path.name] = found
        rows.append(format_row(path.name, found))
        tqdm.write("  ".join(rows[-1]))
    header = ["file", *(cell for name in sets for cell in (name, "INT8", "lost")), "observer"]
    header += [f"ms, {target}" for target in targets]
    print(format_table(rows, header, "<" + ">" * (3 * len(sets)) + "<" * (1 + len(targets))))
    if absent:
        print(f"not there: {', '.join(absent)}")
    if args.json:
        content = {file: dataclasses.asdict(result) for file, result in results.items()}
        write_file(args.json, json.dumps(content, indent=2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What INT8 costs a network, and its times.

    Attributes:
      float_psnr: in dB, on each set.
      int8_psnr: of the file, on each set; None where the export is refused.
      observer: which ranges were taken; where the export is refused, why.
      milliseconds: by target, without the arithmetic of what it does not run.
      refused: by target, the operations that it does not run.
    """

    float_psnr: Sequence[float]
    int8_psnr: Sequence[float] | None
    observer: str
    milliseconds: Mapping[str, float]
    refused: Mapping[str, Sequence[str]]


def measure_network(
    network: Network,
    sets: Sequence[str],
    calibration: str,
    targets: Sequence[str],
    observers: Sequence[str] = tuple(OBSERVERS),
) -> Result:
    """Measures a network, exports it and estimates its times.

    Raises:
      InputError: as `compare.measure`, or there are no such images or targets.
    """
    upscaler = from_network(network)
    float_psnr = [score.mean["psnr"] for score in measure(upscaler, sets, RGB8)]
    pairs, pair = open_source(calibration, network.scale), choose_protocol(network.channels).pair
    images = [pair(pairs[i], network.scale)[0][None] for i in range(len(pairs))]
    int8_psnr = None
    try:
        observer, ranges = _choose_ranges(network, images, observers)
        _prove(network, ranges)
    except InputError as error:
        observer = f"refused: {error}"
    else:
        integer = dataclasses.replace(upscaler, function=_run_by_size(network, ranges))
        int8_psnr = [score.mean["psnr"] for score in measure(integer, sets, RGB8)]
    reports = {target: _estimate(network, find_target(target)) for target in targets}
    return Result(
        float_psnr=float_psnr,
        int8_psnr=int8_psnr,
        observer=observer,
        milliseconds={target: report.seconds * 1e3 for target, report in reports.items()},
        refused={
            target: sorted({row.op for row in report.flagged}) for target, report in reports.items()
        },
    )


def _choose_ranges(
    network: Network, images: Sequence[np.ndarray], observers: Sequence[str]
) -> tuple[str, Ranges]:
    """Returns the observer whose file errs least on `images`, and its ranges."""
    size = tuple(min(image.shape[axis] for image in images) for axis in (1, 2))
    crops = [image[:, : size[0], : size[1]].astype(np.float32) for image in images]
    expected = [np.clip(network.apply(jnp.asarray(crop)), 0, 1) for crop in crops]
    graph = trace_collapsed(network, (size[0], size[1]))
    found = {}
    for name in observers:
        ranges = calibrate(graph, images, observer=name)
        model = TFLiteModel(to_tflite(graph, ranges=ranges))
        errors = [np.square(model(c) - e).mean() for c, e in zip(crops, expected, strict=True)]
        found[name] = float(np.mean(errors)), ranges
    best = min(found, key=lambda name: found[name][0])
    return best, found[best][1]


def _prove(network: Network, ranges: Ranges) -> None:
    """Exports the network.

    Raises:
      InputError: a code of the file differs from that of the integer reference, or as `export_tflite`.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph = trace_collapsed(network, (24, 24))
        export_tflite(graph, pathlib.Path(folder) / "proved.tflite", ranges=ranges)


def _run_by_size(network: Network, ranges: Ranges) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the network's INT8 files as a function of images, with a file for each size."""
    models: dict[tuple[int, ...], TFLiteModel] = {}

    def run(x: np.ndarray) -> np.ndarray:
        size = x.shape[1:3]
        if size not in models:
            content = to_tflite(trace_collapsed(network, size), ranges=ranges)
            models.clear()  # a file of the largest image takes much memory
            models[size] = TFLiteModel(content)
        return models[size](x)

    return run


def _estimate(network: Network, target: Target) -> Report:
    """Returns the estimate for AIM 2020's frame, with the tail that the target runs."""
    graph = trace_collapsed(network, AIM_2020.frame)
    report = estimate(layers_from_graph(graph), target)
    if any(row.op == "depth_to_space" for row in report.flagged):
        return estimate(layers_from_graph(with_tail(graph, "transposed_conv")), target)
    return report


def format_row(file: str, result: Result) -> list[str]:
    """Returns a line of the table."""
    cells = [file]
    for i, psnr in enumerate(result.float_psnr):
        integer = result.int8_psnr[i] if result.int8_psnr else None
        cells += [f"{psnr:.2f}"]
        cells += ["–", "–"] if integer is None else [f"{integer:.2f}", f"{psnr - integer:.2f}"]
    cells.append(result.observer)
    for target, milliseconds in result.milliseconds.items():
        names = ", ".join(result.refused[target])
        cells.append(f"{milliseconds:.2f}" + (f" (no {names})" if names else ""))
    return cells


if __name__ == "__main__":
    main()
