"""Interrupts trainings, upscalings and exports, and counts what was lost.

    python -m benchmarks.interruptions --trials 10
    python -m benchmarks.interruptions --only upscale --by kill

Every task is run undisturbed. Then it is interrupted in three ways:

- **kill**: SIGKILL at a random moment of the time that the undisturbed task takes when it runs again.
- **limit**: no file may grow beyond a random size, which every user may set (RLIMIT_FSIZE).
- **disk**: all is written to a disk of a random small size, a tmpfs, which root alone may mount.

After each interruption the same command is run undisturbed. The table counts how often the task was
interrupted before its end, and how often

- **intact**: each file that was there before was either as before or complete;
- **sentence**: the command ended with status 2 and one sentence, without a traceback (not where it was
  killed);
- **resumed**: the same command then gave what the undisturbed one had given, bit for bit, and left nothing
  else over.

The exit status is 1 if anything was lost.
"""

import argparse
import collections
import contextlib
import dataclasses
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from sesr_jax.files import write_file
from sesr_jax.report import format_table

_SCRIPT = """
import resource, sys
limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from sesr_jax.cli.main import main
sys.exit(main())
"""

_CONFIG = """
import ml_collections
from sesr_jax import train

def get_config():
    config = train.base()
    config.model.update(name="sesr_m3", scale=2)
    config.model.options = ml_collections.ConfigDict({{"expansion": 8, "blocks": 1}})
    config.data.update(train={images!r}, eval={images!r}, patch=8, batch=2)
    config.update(steps=40, steps_per_call=2, eval_every=20, checkpoint_every=4, keep=2)
    return config
"""

_OLD = b"what was there before"
_LEFT = (".sesr-*", ".*.segments", "*.orbax-checkpoint-tmp*")
_ROOM = "64m"
_FRAMES = 900  # some segments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A command that writes files.

    Attributes:
      arguments: of `sesr`; "{out}" stands for the folder that it writes to, "{work}" for that of its input.
      outputs: the files in the folder "{out}" that are compared.
      begins: the files that are there before.
      sizes: the smallest and the largest size for "limit", and for "disk", in bytes.
    """

    arguments: Sequence[str]
    outputs: Sequence[str]
    begins: Sequence[str] = ()
    sizes: Mapping[str, tuple[int, int]]


TASKS = {
    "train": Task(
        arguments=("train", "--config", "{work}/config.py", "--workdir", "{out}/run", "--quiet"),
        outputs=("run/model.safetensors", "run/expanded.safetensors"),
        sizes={"limit": (500, 20_000), "disk": (8_000, 400_000)},
    ),
    "upscale": Task(
        arguments=("upscale", "{work}/images/0.png", "{out}/large.jpg", "--model", "bicubic_x2"),
        outputs=("large.jpg",),
        begins=("large.jpg",),
        sizes={"limit": (500, 60_000), "disk": (8_000, 60_000)},
    ),
    "video": Task(
        arguments=("upscale", "{work}/film.mp4", "{out}/large.mp4", "--model", "bicubic_x2"),
        outputs=("large.mp4",),
        begins=("large.mp4",),
        sizes={"limit": (500, 100_000), "disk": (8_000, 400_000)},
    ),
    "export": Task(
        arguments=(
            *("export", "--model", "sesr_m3_x2", "--precision", "float32", "--size", "48x40"),
            *("--out", "{out}/m3.tflite"),
        ),
        outputs=("m3.tflite", "m3.golden.npz"),
        begins=("m3.tflite", "m3.golden.npz"),
        sizes={"limit": (500, 30_000), "disk": (8_000, 40_000)},
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its status, what it said, and the seconds that it took."""

    status: int
    said: str
    seconds: float

    @property
    def is_sentence(self) -> bool:
        """Whether it refused in one sentence."""
        lines = self.said.strip().splitlines()
        return (
            self.status == 2
            and bool(lines)
            and lines[-1].startswith("sesr ")
            and not any("Traceback" in line or "Error" in line for line in lines)
        )


def main(argv: list[str] | None = None) -> int:
    """Parses `argv`, interrupts, prints the table, and gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10, help="of each kind; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and sizes")
    parser.add_argument("--only", action="append", choices=TASKS, help="one of the tasks")
    parser.add_argument("--by", action="append", choices=WAYS, help="one of the interruptions")
    parser.add_argument("--json", type=pathlib.Path, help="also write the counts there")
    args = parser.parse_args(argv)

    counts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        _write_inputs(work, args.only or TASKS)
        for name in args.only or TASKS:
            task, whole = TASKS[name], work / f"{name}_whole"
            whole.mkdir()
            undisturbed = _run(task, work, whole)
            if undisturbed.status:
                raise SystemExit(f"{name} fails undisturbed:\n{undisturbed.said}")
            ways = args.by or list(WAYS)
            seconds = _measure_seconds(task, work) if "kill" in ways else 0.0
            for way in ways:
                if way == "disk" and not _can_mount(work):
                    print("disk: left out, since root alone may mount a small one")
                    continue
                moments = random.Random(f"{args.seed} {name} {way}")
                count: collections.Counter[str] = collections.Counter()
                for _ in range(args.trials):
                    count.update(_try(task, way, work, whole, seconds, moments))
                counts[f"{name}, {way}"] = {"trials": args.trials, **count}
    header = ["", "trials", "interrupted", "intact", "sentence", "resumed"]
    rows = [
        [name, *(str(count.get(key, "–")) for key in header[1:])] for name, count in counts.items()
    ]
    print(format_table(rows, header))
    if args.json:
        write_file(args.json, json.dumps(counts, indent=2))
    lost = [
        name
        for name, count in counts.items()
        if count["intact"] < count["trials"]
        or count["resumed"] < count["trials"]
        or count.get("sentence", count["interrupted"]) < count["interrupted"]
    ]
    return int(bool(lost))


def _measure_seconds(task: Task, work: pathlib.Path) -> float:
    """Returns how long a task takes when its files have been read before."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        return _run(task, work, pathlib.Path(out)).seconds


def _try(
    task: Task,
    way: str,
    work: pathlib.Path,
    whole: pathlib.Path,
    seconds: float,
    moments: random.Random,
) -> dict[str, int]:
    """Interrupts a task once, and returns 1 for each count that it adds to."""
    with WAYS[way](task, work, seconds, moments) as (out, options, ease):
        for name in task.begins:
            (out / name).write_bytes(_OLD)
        ended = _run(task, work, out, **options)
        intact = all(
            path.read_bytes() in (_OLD, (whole / name).read_bytes())
            for name in task.outputs
            if (path := out / name).exists() or name in task.begins
        )
        ease()
        again = _run(task, work, out)
        resumed = (
            again.status == 0
            and all((out / n).read_bytes() == (whole / n).read_bytes() for n in task.outputs)
            and not any(list(out.rglob(pattern)) for pattern in _LEFT)
        )
        if not (resumed and intact and (way == "kill" or not ended.status or ended.is_sentence)):
            print(f"{way} {options}: {ended.said[-2000:]}\n{again.said[-2000:]}", file=sys.stderr)
    found = {"interrupted": int(ended.status != 0), "intact": int(intact), "resumed": int(resumed)}
    if way != "kill":
        found["sentence"] = int(ended.is_sentence)
    return found


_Interruption = tuple[pathlib.Path, dict[str, float], Callable[[], None]]
"""The folder to write to, the options of `_run`, and what ends the shortage."""


@contextlib.contextmanager
def _kill(
    task: Task, work: pathlib.Path, seconds: float, moments: random.Random
) -> Iterator[_Interruption]:
    with tempfile.TemporaryDirectory(dir=work) as out:
        # The first part of the time goes into imports.
        yield pathlib.Path(out), {"kill_after": seconds * moments.uniform(0.3, 1)}, lambda: None


@contextlib.contextmanager
def _limit(
    task: Task, work: pathlib.Path, seconds: float, moments: random.Random
) -> Iterator[_Interruption]:
    with tempfile.TemporaryDirectory(dir=work) as out:
        yield pathlib.Path(out), {"limit": moments.randint(*task.sizes["limit"])}, lambda: None


@contextlib.contextmanager
def _shrink_disk(
    task: Task, work: pathlib.Path, seconds: float, moments: random.Random
) -> Iterator[_Interruption]:
    size = moments.randint(*task.sizes["disk"])
    with tempfile.TemporaryDirectory(dir=work) as out, _mount(out, str(size)):

        def grow() -> None:
            subprocess.run(["mount", "-o", f"remount,size={_ROOM}", out], check=True)

        yield pathlib.Path(out), {}, grow


@contextlib.contextmanager
def _mount(folder: str, size: str) -> Iterator[None]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


WAYS = {"kill": _kill, "limit": _limit, "disk": _shrink_disk}
"""The interruptions by name."""


def _can_mount(work: pathlib.Path) -> bool:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        try:
            with _mount(folder, "64k"):
                return shutil.disk_usage(folder).total <= 2**16
        except (OSError, subprocess.CalledProcessError):
            return False


def _run(
    task: Task,
    work: pathlib.Path,
    out: pathlib.Path,
    *,
    limit: float = 0,
    kill_after: float | None = None,
) -> Ended:
    """Runs the command of a task, kills it after some seconds, or limits its files to some bytes."""
    arguments = [each.format(work=work, out=out) for each in task.arguments]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(int(limit)), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    return Ended(status=process.returncode, said=said, seconds=time.perf_counter() - begin)


def _write_inputs(work: pathlib.Path, tasks: Collection[str]) -> None:
    """Writes the images, the config and the film that the tasks read."""
    (work / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (2, 96, 120, 3), np.uint8)
    for i, image in enumerate(noise):
        Image.fromarray(image).save(work / "images" / f"{i}.png")
    (work / "config.py").write_text(_CONFIG.format(images=str(work / "images")), encoding="utf-8")
    if "video" in tasks:
        import av

        with av.open(str(work / "film.mp4"), "w") as film:
            video = film.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 80, 48, "yuv420p"
            for i in range(_FRAMES):
                image = np.ascontiguousarray(noise[0, i % 40 :][:48, i % 30 :][:, :80])
                film.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            film.mux(video.encode(None))


if __name__ == "__main__":
    sys.exit(main())
