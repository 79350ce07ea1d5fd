"""Measures how long upscaling takes on this CPU by each runtime, and how much memory.

    python -m benchmarks.upscaling
    python -m benchmarks.upscaling --before OTHER_CHECKOUT --rounds 5

A photo of 1920×1080 becomes a JPEG of 3840×2160, by SESR-M5 in float and by the one that was trained for
INT8, and a clip of 1280×720 becomes one of 2560×1440. Every case runs in a process of its own, which has
imported and compiled what it needs; the processes take turns. Seconds are medians of wall time; where other
programs run too, processor time tells more. Speed is that against XLA. Memory is the peak of the process,
imports included. ``--before`` also measures the package of another checkout.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

_CASES = (
    ("photo", "sesr_m5_x2", ("xla", "litert")),
    ("photo", "sesr_m5_x2_qat", ("xla", "litert")),
    ("clip", "sesr_m5_x2", ("xla", "litert")),
)
"""What is upscaled, by which network, and by which runtimes."""

_HEADER = ("case", "runtime", "s", "speed", "processor s", "speed", "peak MB")


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=pathlib.Path, help="a checkout to measure too, by XLA")
    parser.add_argument("--rounds", type=int, default=3, help="default %(default)s")
    parser.add_argument("--frames", type=int, default=12, help="of the clip; default %(default)s")
    parser.add_argument("--shrink", type=int, default=1, help="divide all sides by this number")
    parser.add_argument("--json", type=pathlib.Path, help="also write the medians there")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        _serve(*args.serve)
        return
    from sesr_jax.files import write_file
    from sesr_jax.report import format_table
    from sesr_jax.train.hardware import describe_hardware

    with tempfile.TemporaryDirectory() as folder:
        sources = _write_sources(pathlib.Path(folder), args.shrink, args.frames)
        servers = {}
        for kind, model, runtimes in _CASES:
            if args.before:
                place = args.before.resolve()
                servers[kind, model, "before"] = _start(place, model, "xla", sources[kind])
            for runtime in runtimes:
                place = pathlib.Path(__file__).parents[1]
                servers[kind, model, runtime] = _start(place, model, runtime, sources[kind])
        measured: dict[tuple[str, str, str], list[dict[str, float]]] = {
            case: [] for case in servers
        }
        for done in range(args.rounds + 1):  # the first one compiles
            for case, server in servers.items():
                found = _ask(server)
                if done:
                    measured[case].append(found)
        for server in servers.values():
            server.stdin.close()
            server.wait()
    print(f"{describe_hardware()}, load {os.getloadavg()[0]:.1f}; medians of {args.rounds}")
    medians = {
        case: {key: statistics.median(one[key] for one in found) for key in found[0]}
        for case, found in measured.items()
    }
    print(format_table(_list_rows(medians), _HEADER, "<<>>>>>"))
    if args.json:
        content = {", ".join(case): found for case, found in medians.items()}
        write_file(args.json, json.dumps(content, indent=2))


def _write_sources(folder: pathlib.Path, shrink: int, frames: int) -> dict[str, pathlib.Path]:
    """Writes a photo and a clip that moves, both made of an embedded photo."""
    import av

    from sesr_jax.data import open_embedded, write_image

    piece = open_embedded("eval")[0].hr
    wide = np.tile(piece, (2 + 1080 // piece.shape[0], 2 + 1920 // piece.shape[1], 1))
    photo, clip = folder / "photo.png", folder / "clip.mp4"
    write_image(photo, wide[: 1080 // shrink, : 1920 // shrink])
    height, width = 720 // shrink, 1280 // shrink
    with av.open(str(clip), "w") as target:
        video = target.add_stream("libx264", rate=25, options={"crf": "16"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            image = np.ascontiguousarray(wide[i : i + height, 2 * i : 2 * i + width])
            target.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        target.mux(video.encode(None))
    return {"photo": photo, "clip": clip}


def _start(place: pathlib.Path, model: str, runtime: str, source: pathlib.Path) -> Any:
    """Starts the process of a case, with the package of the checkout `place`."""
    return subprocess.Popen(
        [sys.executable, __file__, "--serve", model, runtime, str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(place)},
        text=True,
    )


def _ask(server: Any) -> dict[str, float]:
    print(file=server.stdin, flush=True)
    found: dict[str, float] = json.loads(server.stdout.readline())
    return found


def _serve(model: str, runtime: str, source: str) -> None:
    """Upscales `source` once for every line of standard input, and prints what it took."""
    from sesr_jax.pretrained import find_network
    from sesr_jax.upscale import from_network, upscale_file

    network = find_network(model)
    if runtime == "xla":
        upscaler = from_network(network)
    else:
        from sesr_jax.upscale import choose_upscaler

        upscaler = choose_upscaler(network, "litert")
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "large.mp4" if source.endswith(".mp4") else "large.jpg")
        for _ in sys.stdin:
            start, used = time.perf_counter(), time.process_time()
            upscale_file(upscaler, source, target)
            found = {
                "wall": time.perf_counter() - start,
                "processor": time.process_time() - used,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
            }
            print(json.dumps(found), flush=True)


def _list_rows(medians: dict[tuple[str, str, str], dict[str, float]]) -> list[list[str]]:
    """Returns the cells of each case, with its speed against XLA's at the same work."""
    rows = []
    for (kind, model, runtime), found in medians.items():
        xla = medians[kind, model, "xla"]
        cells = [f"{kind}, {model}", runtime]
        for key in ("wall", "processor"):
            cells += [f"{found[key]:.2f}", f"{xla[key] / found[key]:.2f}×"]
        rows.append([*cells, f"{found['memory']:.0f}"])
    return rows


if __name__ == "__main__":
    main()
