"""Measures how many training samples per second our degradations and Real-ESRGAN's own code make on this CPU.

    python -m benchmarks.degradation FOLDER
    python -m benchmarks.degradation FOLDER --python OTHER/bin/python --repetitions 9 --json found.json

FOLDER holds copies of two public repositories, Real-ESRGAN (xinntao) and BasicSR (XPixelGroup). Where they
are absent, ours is measured alone. ``--python`` has PyTorch, torchvision, OpenCV, SciPy, PyYAML, lmdb,
requests and scikit-image; this Python by default.

A sample is a degraded crop with its sharpened target, by the options of RealESRGAN_x4plus, which are the
defaults of `data.degradation.Degradation`. The original draws kernels on the CPU, degrades crops of 400×400
where PyTorch runs, all of a batch alike, and cuts 256×256 from them. Ours degrades each crop by draws of its
own, inside a compiled step: those of 256×256, which a step learns from, and for comparison of 400×400. The
images are pieces of 400×400, as the original's authors prepare them; the original reads its files, and ours
lie in memory, as in a training of each.

Every contestant is a process of its own, on so many cores, which has made a batch before. They take turns.
Samples per second are those of the median batch. Processor time tells more where other programs run; it is
the mean, since the original's batches differ much, and is not known where loaders work in other processes.
Ratios are to the fastest of the original on as many cores.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

_HERE = pathlib.Path(__file__).parent
_ORIGINAL = ("Real-ESRGAN", "BasicSR")
_PIECE = 400
_SCALE = 4
_HEADER = ("made by", "cores", "samples/s", "ratio", "processor ms per sample", "ratio")
_Seconds = list[tuple[float, float]]  # of batches: of wall and of processor time


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="the folder with the original's code")
    parser.add_argument("--python", default=sys.executable, help="a Python that runs the original")
    parser.add_argument("--data", default="embedded:train", help="images; default %(default)s")
    parser.add_argument("--batch", type=int, default=12, help="samples; default %(default)s")
    parser.add_argument("--batches", type=int, default=2, help="of a turn; default %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="turns; default %(default)s")
    parser.add_argument(
        "--side", type=int, action="append", help="of our crops; default 256 and 400"
    )
    parser.add_argument("--cores", type=int, action="append", help="default 1, and 2 if there are")
    parser.add_argument("--json", type=pathlib.Path, help="also write the seconds there")
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        _serve(*args.serve)
        return
    from sesr_jax.files import write_file
    from sesr_jax.report import format_table
    from sesr_jax.train.hardware import describe_hardware

    with tempfile.TemporaryDirectory() as images:
        _write_pieces(args.data, pathlib.Path(images))
        servers = {case: _start(command) for case, command in _list_cases(args, images).items()}
        found: dict[tuple[str, int], _Seconds] = {case: [] for case in servers}
        for case, server in servers.items():
            if server.stdout.readline().strip() != "ready":
                raise SystemExit(f"{case[0]} does not run; see what it printed above.")
        for _ in range(args.repetitions):
            for case, server in servers.items():
                print(file=server.stdin, flush=True)
                found[case] += json.loads(server.stdout.readline())
        for server in servers.values():
            server.stdin.close()
            server.wait()
    print(f"{describe_hardware()}, load {os.getloadavg()[0]:.1f}; batches of {args.batch}")
    print(format_table(_list_rows(found, args.batch), _HEADER, "<>>>>>"))
    if args.json:
        content = {f"{name}, {cores}": seconds for (name, cores), seconds in found.items()}
        write_file(args.json, json.dumps(content, indent=2))


def _write_pieces(data: str, folder: pathlib.Path) -> None:
    """Writes the pieces of all images as PNG files."""
    from sesr_jax.data import open_source, write_image

    images = open_source(data, scale=_SCALE)
    for i in range(len(images)):
        hr = images[i].hr
        for y in range(0, hr.shape[0] - _PIECE + 1, _PIECE):
            for x in range(0, hr.shape[1] - _PIECE + 1, _PIECE):
                piece = hr[y : y + _PIECE, x : x + _PIECE]
                write_image(folder / f"{i:04}_{y}_{x}.png", piece)


def _list_cases(args: argparse.Namespace, images: str) -> dict[tuple[str, int], list[str]]:
    """Returns the command of each contestant, by its name and its cores."""
    there = len(os.sched_getaffinity(0))
    work = [str(args.batch), str(args.batches)]
    cases = {}
    for cores in args.cores or range(1, min(2, there) + 1):
        for side in args.side or (256, 400):
            serve = [sys.executable, "-m", "benchmarks.degradation", str(args.folder), "--serve"]
            cases[f"ours, {side}×{side}", cores] = [*serve, images, str(cores), str(side), *work]
        if not all((args.folder / name).is_dir() for name in _ORIGINAL):
            continue
        # On one core a loader would only take turns with the rest.
        for loaders in (0, 1) if cores > 1 else (0,):
            name = "original, a loader" if loaders else "original"
            script = [args.python, str(_HERE / "real_esrgan.py"), str(args.folder)]
            cases[name, cores] = [*script, images, str(cores), str(loaders), *work]
    if not all((args.folder / name).is_dir() for name in _ORIGINAL):
        print(f"{args.folder} lacks {' or '.join(_ORIGINAL)}, so that ours is measured alone.")
    return cases


def _start(command: list[str]) -> Any:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_HERE.parent
    )


def _serve(images: str, cores: str, side: str, batch: str, batches: str) -> None:
    """Makes batches by our feed for every line of standard input, and prints the seconds of each."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    import jax
    import jax.numpy as jnp

    from sesr_jax.data import open_source
    from sesr_jax.data.degradation import Degradation, sharpen
    from sesr_jax.data.feed import plan_feed

    feed = plan_feed(
        open_source(images, scale=_SCALE),
        scale=_SCALE,
        channels=3,
        patch=int(side) // _SCALE,
        batch=int(batch),
        degradation=Degradation(),
    )()
    (pool,) = feed.calls([range(1)])
    draw = feed.draw

    @jax.jit
    def make(pool: Any, step: Any) -> Any:
        crops = draw(pool, jax.random.fold_in(jax.random.key(0), step), step)
        return crops.lr, crops.hr, jax.vmap(sharpen)(crops.hr)

    step = 0

    def run() -> tuple[float, float]:
        nonlocal step
        start, used, step = time.perf_counter(), time.process_time(), step + 1
        jax.block_until_ready(make(pool, jnp.int32(step)))
        return time.perf_counter() - start, time.process_time() - used

    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps([run() for _ in range(int(batches))]), flush=True)


def _list_rows(found: dict[tuple[str, int], _Seconds], batch: int) -> list[list[str]]:
    """Returns the cells of each contestant."""
    rows = []
    walls = {case: statistics.median(wall for wall, _ in own) for case, own in found.items()}
    used = {case: statistics.mean(processor for _, processor in own) for case, own in found.items()}
    for name, cores in found:
        cells = [name, str(cores), f"{batch / walls[name, cores]:.2f}"]
        cells.append(_compare(walls, name, cores))
        own = used[name, cores]
        cells += [f"{1000 * own / batch:.0f}", _compare(used, name, cores)] if own else ["", ""]
        rows.append(cells)
    return rows


def _compare(seconds: dict[tuple[str, int], float], name: str, cores: int) -> str:
    """Returns how many times as fast as the original's fastest a contestant is."""
    rivals = [s for (n, c), s in seconds.items() if n.startswith("original") and c == cores and s]
    return f"{min(rivals) / seconds[name, cores]:.2f}×" if rivals else ""


if __name__ == "__main__":
    main()
