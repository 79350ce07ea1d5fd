"""Measures how long an export takes and what the file gains, on this machine.

    python -m benchmarks.export
    python -m benchmarks.export --model sesr_m5_hw --frame 640x360 --size 480x270 --repetitions 9

Seconds are those of the whole command ``sesr export`` for a frame of 1920×1080, in a fresh interpreter:
imports, TensorFlow among them, calibration, conversion, checks and the golden pair. Frames per second are of
a smaller size, medians of runs in turns (A B A B …) with two threads each: the INT8 file, the float file
and the jitted network.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.timing import measure_in_turns
from sesr_jax.cli.arguments import parse_size
from sesr_jax.export import Options, TFLiteModel, to_tflite, trace_collapsed
from sesr_jax.files import write_file
from sesr_jax.models import network
from sesr_jax.models.network import Network
from sesr_jax.quant import calibrate
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.report import format_table

_THREADS = 2


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints seconds and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sesr_m5", help="default %(default)s")
    parser.add_argument("--frame", default="1920x1080", help="what is exported; %(default)s")
    parser.add_argument("--size", type=parse_size, default=(270, 480), help="what is run; 480x270")
    parser.add_argument("--repetitions", type=int, default=5, help="default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)

    net = network.init(args.model, scale=2, key=jax.random.key(0))
    seconds = {name: _time_export(net, args.frame, name) for name in ("jax2tf", "litert")}
    speeds = measure_in_turns(_make_forms(net, args.size), args.repetitions)
    height, width = args.size
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, jax {jax.__version__}"
    )
    for name, spent in seconds.items():
        print(f"sesr export of {args.model} at {args.frame} by {name}: {spent:.1f} s")
    rows = [
        (name, f"{1 / spent:.1f}", *(f"{speeds[other] / spent:.2f}×" for other in speeds))
        for name, spent in speeds.items()
    ]
    header = [f"{width}×{height}", "frames per second", *(f"against {name}" for name in speeds)]
    print(format_table(rows, header))
    if args.json:
        content = {"export": seconds, "frame": speeds}
        write_file(args.json, json.dumps(content, indent=2))


def _time_export(net: Network, frame: str, converter: str) -> float:
    """Returns the seconds that the command takes."""
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder, "weights.safetensors")
        network.save(net, weights)
        command = [sys.executable, "-c", "from sesr_jax.cli.main import main; main()", "export"]
        command += ["--model", str(weights), "--size", frame, "--converter", converter]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--out", str(pathlib.Path(folder, "m.tflite"))],
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - start


def _make_forms(net: Network, shape: tuple[int, int]) -> dict[str, Callable[[], object]]:
    """Returns what computes a frame by each form."""
    graph = trace_collapsed(net, shape)
    image = make_photo_noise(graph.input_shape)
    int8 = TFLiteModel(to_tflite(graph, ranges=calibrate(graph, [image])), num_threads=_THREADS)
    floats = TFLiteModel(
        to_tflite(graph, ranges=None, options=Options(precision="float32")), num_threads=_THREADS
    )
    codes = image if int8.input is None else int8.input.quantise(image)
    jitted, x = jax.jit(net.collapse().apply), jnp.asarray(image)
    return {
        "INT8 file": lambda: int8.run(codes),
        "float file": lambda: floats.run(image),
        "jax.jit": lambda: jitted(x),
    }


if __name__ == "__main__":
    main()
