"""Measures what full INT8 costs the official networks for efficient super-resolution, and how fast NPUs are.

    python -m benchmarks.official_int8 FOLDER --data SETS --set Set5

FOLDER holds the authors' files, as for `benchmarks.official`. Each observer measures ranges. "Chosen" are
those in which each tensor has the range of the observer that, alone, changes the output least. Of all these
the ranges are taken whose file is nearest to the float network on the photos of the calibration. The export
proves it code for code against LiteRT's reference kernels. LiteRT then runs a file for the size of each
image, since many files hold sizes (of a map that is resized back, or of a mean). PSNR is that of the protocol
rgb8, on luma.

Where the loss on the first set exceeds 0.3 dB, two more columns say where it comes from and what wins it back
without training. "Worst" is the part that costs most alone, on the centres of four images of that set
(`sesr compare --layers`). "Recovered by" are convolutions of concats as sums, so that the tensors of a concat
have ranges of their own, by a file as before; and, by fake quantisation on the same images, the number of
parts that must stay float, the dearest first, until no more than 0.3 dB are lost.

Milliseconds are estimates for an image of 256×256, AIM 2020's frame. An NPU without depth_to_space gets a
transposed convolution in its place. In brackets are the operations that an NPU does not run: of these the
memory traffic alone is counted.
"""

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks.official import SETS, finish, list_files, make_parser
from sesr_jax.challenges import AIM_2020
from sesr_jax.compare import measure, measure_layers
from sesr_jax.data import open_source
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, export_tflite, to_tflite
from sesr_jax.export.network import trace_collapsed
from sesr_jax.graph import Graph, with_split_concats, with_tail
from sesr_jax.metrics import RGB8, choose_protocol
from sesr_jax.models.network import Network
from sesr_jax.npu import Report, estimate, layers_from_graph
from sesr_jax.pretrained import find_network
from sesr_jax.quant import CHOSEN, OBSERVERS, Ranges, calibrate, choose_ranges
from sesr_jax.report import format_table
from sesr_jax.targets import Target, find_target
from sesr_jax.upscale import from_network

LITTLE = 0.3
"""The loss in dB that needs no recovery."""

Trace = Callable[[tuple[int, int]], Graph]
"""From the height and width of the input to the graph."""

TARGETS = ("ethos-u85-2048", "ethos-n78-4tops", "vs680", "bm1684x-int8")


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints the table."""
    parser = make_parser(__doc__, SETS[:2])
    parser.add_argument("--calibrate", default="embedded:train", help="images; default %(default)s")
    parser.add_argument("--target", action="append", help="an NPU; default four of them")
    parser.add_argument(
        "--observer",
        action="append",
        choices=OBSERVERS,
        help="try these observers alone; default all of them",
    )
    args = parser.parse_args(argv)

    sets, targets = args.set or SETS[:2], args.target or TARGETS
    folders = [str((args.data or args.folder) / name) for name in sets]
    results, rows = {}, []
    paths, absent = list_files(args.folder, args.only)
    for path in tqdm(paths, desc="networks", disable=None):
        try:
            found = measure_network(
                find_network(path), folders, args.calibrate, targets, args.observer or [*OBSERVERS]
            )
        except InputError as error:
            raise SystemExit(str(error)) from error
        results[path.name] = found
        rows.append(format_row(path.name, found))
        tqdm.write("  ".join(rows[-1]))
    header = ["file", *(cell for name in sets for cell in (name, "INT8", "lost")), "observer"]
    header += ["worst", "recovered by", *(f"ms, {target}" for target in targets)]
    print(format_table(rows, header, "<" + ">" * (3 * len(sets)) + "<" * (3 + len(targets))))
    content = {file: dataclasses.asdict(result) for file, result in results.items()}
    finish(absent, content, args.json)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What INT8 costs a network, and its times.

    Attributes:
      float_psnr: in dB, on each set.
      int8_psnr: of the file, on each set; None where the export is refused.
      observer: whose ranges were taken, or "chosen"; where the export is refused, why.
      worst: the part that costs most, and the dB lost where it alone is quantised; None where little is lost.
      split_psnr: of the file with split concats, on each set; None where little is lost or none is split.
      spared: the share of the parts that must stay float for the loss to be small, as "3 of 60", of the
        better one of both forms; None where little is lost.
      milliseconds: by target, without the arithmetic of what it does not run.
      refused: by target, the operations that it does not run.
    """

    float_psnr: Sequence[float]
    int8_psnr: Sequence[float] | None
    observer: str
    worst: tuple[str, float] | None = None
    split_psnr: Sequence[float] | None = None
    spared: str | None = None
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
    float_psnr = [score.mean["psnr"] for score in measure(from_network(network), sets, RGB8)]
    photos = read_photos(network, calibration)

    def measure_form(trace: Trace) -> tuple[str, Ranges, list[float]]:
        observer, ranges = _choose_ranges(network, trace, photos, observers)
        return observer, ranges, measure_files(network, trace, ranges, sets)

    traces: dict[str, Trace] = {
        "joined": functools.partial(trace_collapsed, network),
        "split": lambda size: with_split_concats(trace_collapsed(network, size)),
    }
    found: dict[str, Any] = {}
    try:
        observer, ranges, found["int8_psnr"] = measure_form(traces["joined"])
    except InputError as error:
        observer = f"refused: {error}"
        found["int8_psnr"] = None
    if found["int8_psnr"] and float_psnr[0] - found["int8_psnr"][0] > LITTLE:
        first = open_source(sets[0], network.scale)
        layers = measure_layers(network, ranges, first)
        found["worst"] = str(layers[0].part), layers[0].alone
        if len(traces["split"]((24, 24)).nodes) > len(traces["joined"]((24, 24)).nodes):
            _, ranges, found["split_psnr"] = measure_form(traces["split"])
            layers = measure_layers(network, ranges, first, split_concats=True)
        spared = next((i for i, row in enumerate(layers, 1) if row.left <= LITTLE), len(layers))
        found["spared"] = f"{spared} of {len(layers)}"
    reports = {target: _estimate(network, find_target(target)) for target in targets}
    return Result(
        float_psnr=float_psnr,
        observer=observer,
        **found,
        milliseconds={target: report.seconds * 1e3 for target, report in reports.items()},
        refused={
            target: sorted({row.op for row in report.flagged}) for target, report in reports.items()
        },
    )


def measure_files(
    network: Network, trace: Trace, ranges: Ranges, sets: Sequence[str]
) -> list[float]:
    """Proves the export, and returns the PSNR of a network's INT8 files on each set.

    Raises:
      InputError: a code differs from that of the integer reference, or as `export_tflite`.
    """
    _prove(trace, ranges)
    integer = dataclasses.replace(from_network(network), function=_run_by_size(trace, ranges))
    return [score.mean["psnr"] for score in measure(integer, sets, RGB8)]


def read_photos(network: Network, source: str) -> list[np.ndarray]:
    """Returns the low resolutions that ranges are measured on, whole, float32 ``[1, h, w, C]`` each.

    Raises:
      InputError: there are no such images.
    """
    pairs, pair = open_source(source, network.scale), choose_protocol(network.channels).pair
    return [pair(pairs[i], network.scale)[0][None] for i in range(len(pairs))]


def _choose_ranges(
    network: Network, trace: Trace, photos: Sequence[np.ndarray], observers: Sequence[str]
) -> tuple[str, Ranges]:
    """Returns the ranges whose file errs least on `photos`, and their observer or "chosen"."""
    size = tuple(min(image.shape[axis] for image in photos) for axis in (1, 2))
    crops = [image[:, : size[0], : size[1]].astype(np.float32) for image in photos]
    expected = [np.clip(network.apply(jnp.asarray(crop)), 0, 1) for crop in crops]
    graph = trace((size[0], size[1]))
    candidates = {name: calibrate(graph, photos, observer=name) for name in observers}
    if len(candidates) > 1:
        candidates[CHOSEN] = choose_ranges(graph, [*candidates.values()], photos)
    found = {}
    for name, ranges in candidates.items():
        model = TFLiteModel(to_tflite(graph, ranges=ranges))
        errors = [np.square(model(c) - e).mean() for c, e in zip(crops, expected, strict=True)]
        found[name] = float(np.mean(errors)), ranges
    best = min(found, key=lambda name: found[name][0])
    return best, found[best][1]


def _prove(trace: Trace, ranges: Ranges) -> None:
    """Exports the network.

    Raises:
      InputError: a code of the file differs from that of the integer reference, or as `export_tflite`.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph = trace((24, 24))
        export_tflite(graph, pathlib.Path(folder) / "proved.tflite", ranges=ranges)


def _run_by_size(trace: Trace, ranges: Ranges) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the network's INT8 files as a function of images, with a file for each size."""
    models: dict[tuple[int, ...], TFLiteModel] = {}

    def run(x: np.ndarray) -> np.ndarray:
        size = x.shape[1], x.shape[2]
        if size not in models:
            content = to_tflite(trace(size), ranges=ranges)
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
    worst = f"{result.worst[0]}, {result.worst[1]:.2f}" if result.worst else ""
    ways = []
    if result.split_psnr:
        pairs = zip(result.float_psnr, result.split_psnr, strict=True)
        ways.append("split concats, lost " + "/".join(f"{a - b:.2f}" for a, b in pairs))
    if result.spared:
        ways.append(f"{result.spared} parts in float")
    cells += [result.observer, worst, "; ".join(ways)]
    for target, milliseconds in result.milliseconds.items():
        names = ", ".join(result.refused[target])
        cells.append(f"{milliseconds:.2f}" + (f" (no {names})" if names else ""))
    return cells


if __name__ == "__main__":
    main()
