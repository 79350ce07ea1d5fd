"""Measures how close the estimates for Sophgo's BM1684X are to times on boards and to tpu-mlir's timelines.

    python -m benchmarks.bm1684x
    python -m benchmarks.bm1684x --toolchain FOLDER --layers --json bm1684x.json

The networks are the zoo's with random weights, which cost as much as trained ones. tpu-mlir's columns are
those that tpu-mlir 1.30.2 gave; with a toolchain they are computed again. A timeline is the
compiler's own model of the chip, and no measurement. For realesr-general-x4v3 its INT8 agrees with the
board's, while its F16 is a sixth too short and its F32 half.

How the target was fitted: the mechanisms (which taps share the lanes, what codes cost, the cycles of add,
prelu and resize, bytes per cycle) were read from the timelines of the rows "fitted", the efficiencies from
the boards. The rows "seen" were looked at meanwhile; those "unseen" were computed when all was settled.

At last, what a host does around the chip is measured here: decoding a photo, resizing and normalising it, and
turning the output into a file.
"""

import argparse
import dataclasses
import functools
import io
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image

from benchmarks.npu_networks import build_network
from sesr_jax.data import ImagePair
from sesr_jax.export import trace_collapsed
from sesr_jax.files import write_file
from sesr_jax.graph import eval_shapes
from sesr_jax.models import network
from sesr_jax.npu import Report, estimate, layers_from_graph
from sesr_jax.npu.compilers.tpu_mlir import (
    Result,
    Toolchain,
    compile_job,
    find_toolchain,
    make_job,
    merge_shuffles,
)
from sesr_jax.report import format_table
from sesr_jax.targets import find_target

GENERAL = "srvggnet_32"
"""The model of realesr-general-x4v3."""

# model; scale factor; input; what it computes with; milliseconds and megabytes of the timeline; group
_TIMELINES = """
srvggnet_32       4 640x480   int8   33.28  511.49 fitted
srvggnet_32       4 640x480   f16    53.06 1021.55 fitted
srvggnet_32       4 640x480   f32   380.51 5463.20 fitted
sesr_m5           2 400x300   int8    1.72   10.11 fitted
sesr_m5           2 400x300   f16     2.44   23.02 fitted
srvggnet_32       4 128x128   int8    1.79    9.84 seen
sesr_m5           2 1920x1080 int8   29.16  373.44 seen
sesr_m5           2 1920x1080 f16    41.08  795.96 seen
sesr_m5_hw        4 320x180   int8    0.84    6.86 seen
xlsr              3 320x180   int8    0.98   10.14 seen
rfdn_aim2020      4 64x64     int8    0.51    5.77 seen
srvggnet_16       4 320x240   f16     7.89  103.65 seen
fsrcnn            2 320x180   int8    5.13    1.77 unseen
fsrcnn            2 320x180   f16    10.00    4.10 unseen
quicksrnet_medium 3 320x180   int8    1.08    8.10 unseen
ecbsr_m4c16       2 480x270   int8    0.97    6.22 unseen
srvggnet_16       4 320x180   int8    4.11   38.38 unseen
rlfn_s            4 96x96     int8    1.22   13.71 unseen
sesr_m7           4 200x120   int8    0.44    3.07 unseen
sesr_m11          2 320x180   f16     2.00   14.89 unseen
sesr_m3           2 320x180   f32     3.26   18.68 unseen
"""

# Of realesr-general-x4v3 at 640×480: who printed it, what it computes with, milliseconds.
BOARD = (
    ("sophon-demo, board", "f32", 711.05),
    ("sophon-demo, board", "f16", 64.20),
    ("sophon-demo, board", "int8", 32.57),
    ("seed team, board, Python", "int8", 28.84),
    ("seed team, board, C++", "int8", 26.33),
)
"""Published times on boards: sophgo/sophon-demo (bmrt_test), and a team's of CCF BDCI 2023."""

# Decoding, preparing, finishing and encoding on the hosts of boards, in milliseconds; None where not printed.
_HOSTS = (
    ("sophon-demo, SE7-32, C++", 2.27, 0.46, 93.6),
    ("seed team, Python", None, 16.49, 95.35),
    ("seed team, C++", None, 0.64, 38.60),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A timeline of tpu-mlir.

    Attributes:
      model: of the zoo.
      scale: its scale factor.
      size: height and width of the input.
      kind: what it computes with: "int8", "f16" or "f32".
      milliseconds: of the whole timeline.
      megabytes: the traffic in it.
      group: "fitted", "seen" or "unseen".
    """

    model: str
    scale: int
    size: tuple[int, int]
    kind: str
    milliseconds: float
    megabytes: float
    group: str

    @property
    def title(self) -> str:
        """Its name in tables."""
        return f"{self.model} ×{self.scale} {self.size[1]}×{self.size[0]} {self.kind}"


def read_timelines() -> tuple[Case, ...]:
    """Returns the timelines that tpu-mlir 1.30.2 gave."""
    found = []
    for line in filter(None, _TIMELINES.splitlines()):
        model, scale, size, kind, milliseconds, megabytes, group = line.split()
        width, height = map(int, size.split("x"))
        figures = (float(milliseconds), float(megabytes))
        found.append(Case(model, int(scale), (height, width), kind, *figures, group))
    return tuple(found)


@functools.cache
def estimate_model(model: str, scale: int, size: tuple[int, int], kind: str) -> Report:
    """Returns our estimate of a model of the zoo, with its depth-to-spaces merged as they are compiled."""

    def trace() -> Any:
        fresh = network.init(model, scale=scale, key=jax.random.key(0))
        return merge_shuffles(layers_from_graph(trace_collapsed(fresh, size)))

    return estimate(eval_shapes(trace), find_target(f"bm1684x-{kind}"))


def compile_case(case: Case, toolchain: Toolchain) -> Result:
    """Compiles the model of a case, with ranges of noise."""
    fresh = network.init(case.model, scale=case.scale, key=jax.random.key(0))
    side = 32 * case.scale
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    job = make_job(
        fresh,
        find_target(f"bm1684x-{case.kind}"),
        size=case.size,
        calibration=[ImagePair(name="noise", hr=noise)] if case.kind == "int8" else None,
        source="ours",
    )
    with tempfile.TemporaryDirectory() as folder:
        return compile_job(job, toolchain, folder)


def compare_case(case: Case) -> tuple[Report, float, float]:
    """Returns our report of a case, and the relative errors of time and traffic."""
    report = estimate_model(case.model, case.scale, case.size, case.kind)
    return (
        report,
        report.seconds * 1e3 / case.milliseconds - 1,
        report.dram_bytes / 1e6 / case.megabytes - 1,
    )


def compare_boards(cases: Sequence[Case]) -> list[list[str]]:
    """Returns the published times of realesr-general-x4v3 beside tpu-mlir's and ours, with our residuals."""
    size = (480, 640)
    timelines = {
        case.kind: case.milliseconds for case in cases if (case.model, case.size) == (GENERAL, size)
    }
    rows = []
    for source, kind, milliseconds in BOARD:
        layers = build_network("realesr_general_x4", *size)
        ours = estimate(layers, find_target(f"bm1684x-{kind}")).seconds * 1e3
        theirs = timelines[kind]
        rows.append(
            [
                *(source, kind, f"{milliseconds:.2f}", f"{theirs:.2f}"),
                *(f"{theirs / milliseconds - 1:+.0%}", f"{ours:.2f}"),
                f"{ours / milliseconds - 1:+.0%}",
            ]
        )
    return rows


def measure_host(repetitions: int) -> dict[str, float]:
    """Returns the median milliseconds of what a host does around the chip, for 640×480 pixels and ×4.

    The photo is a JPEG of 1024×768 with smooth content and some noise, of quality 90; the output becomes a
    JPEG and a PNG.
    """
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((1024, 768))
    noisy = np.asarray(smooth, np.int16) + rng.integers(-6, 7, (768, 1024, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    photo = file.getvalue()
    decoded = Image.open(io.BytesIO(photo)).convert("RGB")
    resized = np.asarray(decoded.resize((640, 480), Image.Resampling.BICUBIC))
    image = decoded.resize((2560, 1920), Image.Resampling.BICUBIC)
    output = np.asarray(image, np.float32).transpose(2, 0, 1)[None] / np.float32(255)

    def finish() -> Image.Image:
        pixels = np.clip(output[0], 0, 1).transpose(1, 2, 0) * np.float32(255)
        return Image.fromarray(np.rint(pixels).astype(np.uint8))

    steps: dict[str, Callable[[], Any]] = {
        "decode JPEG": lambda: Image.open(io.BytesIO(photo)).convert("RGB"),
        "resize": lambda: np.asarray(decoded.resize((640, 480), Image.Resampling.BICUBIC)),
        "normalise": lambda: np.ascontiguousarray(
            (resized.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None]
        ),
        "denormalise": finish,
        "encode JPEG": lambda: image.save(io.BytesIO(), "JPEG", quality=95),
        "encode PNG": lambda: image.save(io.BytesIO(), "PNG", compress_level=1),
    }
    return {name: _time(step, repetitions) for name, step in steps.items()}


def _time(step: Callable[[], Any], repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def _format_hosts(host: dict[str, float]) -> str:
    rows = [
        [name, *("–" if value is None else f"{value:.2f}" for value in figures)]
        for name, *figures in _HOSTS
    ]
    before = host["resize"] + host["normalise"]
    after = host["denormalise"] + host["encode JPEG"]
    rows.append(["here, Pillow", *(f"{n:.2f}" for n in (host["decode JPEG"], before, after))])
    header = ["host around the chip, ms", "decode", "prepare", "finish and encode"]
    steps = ", ".join(f"{name} {value:.2f}" for name, value in host.items())
    return f"{format_table(rows, header, '<>>>')}\nhere, ms: {steps}"


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, compares, and prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--toolchain", type=pathlib.Path, help="compile the models again by this one"
    )
    parser.add_argument("--model", action="append", help="of those that are compared; all")
    parser.add_argument("--layers", action="store_true", help="with --toolchain: each layer")
    parser.add_argument("--repetitions", type=int, default=7, help="of the steps of the host")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results to this file")
    args = parser.parse_args(argv)

    cases = read_timelines()
    boards = compare_boards(cases)
    chosen = [case for case in cases if not args.model or case.model in args.model]
    if args.toolchain:
        toolchain = find_toolchain(args.toolchain)
        for i, case in enumerate(chosen):
            result = compile_case(case, toolchain)
            figures = (result.compilation.seconds * 1e3, result.compilation.dram_bytes / 1e6)
            chosen[i] = dataclasses.replace(case, milliseconds=figures[0], megabytes=figures[1])
            if args.layers:
                print(f"{case.title}\n{result.to_text()}")
    header = ["realesr-general-x4v3 640×480", "", "board ms", "tpu-mlir", "off", "ours", "off"]
    print(format_table(boards, header, "<<>>>>>"), end="\n\n")
    rows, errors = [], []
    for case in chosen:
        report, seconds, traffic = compare_case(case)
        errors.append((case.group, abs(seconds), abs(traffic)))
        rows.append(
            [
                *(case.title, f"{case.milliseconds:.2f}", f"{report.seconds * 1e3:.2f}"),
                *(f"{seconds:+.0%}", f"{case.megabytes:.1f}", f"{report.dram_bytes / 1e6:.1f}"),
                *(f"{traffic:+.0%}", case.group),
            ]
        )
    header = ["timelines of tpu-mlir 1.30.2", "ms", "ours", "off", "MB", "ours", "off", ""]
    print(format_table(rows, header, "<>>>>>><"))
    summary = {}
    for group in ("fitted", "seen", "unseen"):
        found = [error[1:] for error in errors if error[0] == group]
        if found:
            medians = [statistics.median(column) for column in zip(*found, strict=True)]
            summary[group] = medians
            print(f"{group}: median error of time {medians[0]:.0%}, of traffic {medians[1]:.0%}")
    host = measure_host(args.repetitions)
    print(f"\n{_format_hosts(host)}")
    if args.json:
        results = {"boards": boards, "timelines": rows, "errors": summary, "host": host}
        write_file(args.json, json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
