"""Proves that this checkout trains, exports and estimates what another one does, bit for bit.

    git worktree add ../before main
    python -m benchmarks.unchanged ../before
    python -m benchmarks.unchanged ../before --only plain --only resumed

Every part runs the same commands in both checkouts, in processes of their own, and compares what they write:

- **trainings** of a few steps, one for each kind: all arrays of the weight files, and what the log says of
  every step. "resumed" is begun by the other checkout and finished by both.
- **files**: networks of the zoo, by both converters of TFLite and as ONNX: all bytes.
- **npu**, **vela**: all rows of the benchmarks of that name ("vela" takes one small network).

What differs is named, and the exit status is 1. Weights are compared without their files' metadata, whose
sentences may change. Both checkouts share one folder of compiled programs, so that what compiles to the
same program compiles once.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from benchmarks.unchanged_results import compare_runs, compare_weights, describe_difference
from sesr_jax.files import write_file

_HERE = pathlib.Path(__file__).parents[1]

_CONFIG = """
from sesr_jax import train
from sesr_jax.train.ablation import base_ablation

def get_config():
    config = {base}()
    config.model.update(name="sesr_m3", scale=2)
    config.model.options.update(expansion=8, blocks=1)
    config.data.update(train={images!r}, eval={images!r}, patch=8, batch=4)
    config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
{changes}
    return config
"""

_SESR = "import sys; from sesr_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"

_ACCELERATOR = "import jax; jax.default_backend = lambda: 'gpu'\n"
"""Takes the ways of accelerators on a CPU: scans over steps, whole batches."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """One kind of training.

    Attributes:
      changes: Python that changes `config`, by call: each goes on with the run of the one before.
      verb: "train" or "ablate".
      before: Python that runs first.
      processes: that train together.
      devices: of each process.
    """

    changes: tuple[str, ...]
    verb: str = "train"
    before: str = ""
    processes: int = 1
    devices: int = 1


_STREAMED = "config.data.device_bytes = 0"
_SEEDS = 'config.seeds, config.conditions = 2, ("dense", "acnet+residual", "repvgg_bn")'

TRAININGS = {
    "plain": Training(
        changes=('config.model.name = "sesr_m5"; config.model.options.expansion = 256',)
    ),
    "recipe": Training(
        changes=(
            'config.update(ema=0.9, loss="charbonnier", dtype="bfloat16"); '
            'config.optim.update(schedule="cosine", warmup=2, clip=0.1); '
            "config.data.intensities = (1.0, 0.5)",
        )
    ),
    "chunked": Training(changes=("config.data.update(patch=48, batch=8)",)),
    "groups": Training(changes=('config.model = {"name": "xlsr", "scale": 3, "options": {}}',)),
    "transposed": Training(
        changes=('config.model = {"name": "fsrcnn", "scale": 2, "options": {}}',)
    ),
    "quantised": Training(
        changes=('config.stages = (train.stage(), train.stage("quantise"))',),
    ),
    "learned": Training(
        changes=(
            'config.quant.update(ranges="learned", observer="percentile", exclude=("tail/*",)); '
            'config.stages = (train.stage(), train.stage("quantise"))',
        )
    ),
    "basis": Training(
        changes=(
            'config.model.options.form = "kernel_basis"; config.ema = 0.5; '
            'config.stages = (train.stage(), train.stage("grow_basis", added=2), '
            'train.stage("grow_basis", preserve=False), '
            'train.stage("collapse", loss="l2", data={"patch": 16}))',
        )
    ),
    "norms": Training(
        changes=('config.model.options.form = "repvgg_bn"; config.batch_statistics = 0.5',)
    ),
    "seeds": Training(changes=(_SEEDS,), verb="ablate"),
    "scanned": Training(changes=("",), before=_ACCELERATOR),
    "streamed": Training(changes=(_STREAMED,)),
    "streamed_scanned": Training(changes=(_STREAMED,), before=_ACCELERATOR),
    "distilled": Training(changes=("config.distill.update(teacher={teacher!r}, weight=0.5)",)),
    "started": Training(changes=("config.init = {teacher!r}",)),
    "devices": Training(changes=("",), devices=2),
    "processes": Training(changes=("config.data.shards = 2",), processes=2),
    "processes_streamed": Training(changes=(_STREAMED,), processes=2),
    "resumed": Training(changes=("config.ema = 0.9", "config.ema = 0.9; config.steps = 8")),
    "resumed_in_a_stage": Training(
        changes=(
            'config.stages = (train.stage(), train.stage("quantise", steps=2))',
            'config.stages = (train.stage(), train.stage("quantise", steps=4))',
        )
    ),
}
"""By name; the config's defaults stand in `_CONFIG`."""

NETWORKS = ("sesr_m5_x2", "sesr_m5_hw_x2_qat", "fsrcnn_x2")
"""Of the shipped weights."""

FILES = {
    "jax2tf.tflite": (),
    "litert.tflite": ("--converter", "litert"),
    "float.tflite": ("--precision", "float32"),
    "int8.onnx": (),
    "float.onnx": ("--precision", "float32"),
    "weights.safetensors": (),
}
"""What is exported of each, with the options of `sesr export`."""

_ROWS = {
    "npu": ("--rows",),
    "vela": ("--network", "conv_16_16_3", "--target", "ethos-u65-512"),
}


class Failure(Exception):  # noqa: N818  # what a command says of itself
    """A command of one of the checkouts did not succeed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkout:
    """A checkout that is run, and the folder that its results go to."""

    root: pathlib.Path
    results: pathlib.Path
    cache: pathlib.Path

    def start(self, command: Sequence[str], devices: int = 1) -> subprocess.Popen[str]:
        """Starts ``python`` with those arguments in this checkout."""
        environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "JAX_COMPILATION_CACHE_DIR": str(self.cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def main(argv: list[str] | None = None) -> int:
    """Parses `argv`, runs both checkouts, prints a line for each part, and gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=pathlib.Path, help="the checkout to compare this one with")
    parts = [*TRAININGS, "files", *_ROWS]
    parser.add_argument(
        "--only", action="append", choices=parts, metavar="PART", help=f"of {', '.join(parts)}"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the differences there")
    args = parser.parse_args(argv)
    if not (args.other / "sesr_jax").is_dir():
        parser.error(f"{args.other} is no checkout of this project: it has no folder sesr_jax.")

    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # not without cleaning up
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        write_images(work / "images")
        here, there = (
            Checkout(root=root.resolve(), results=work / name, cache=work / "cache")
            for name, root in (("here", _HERE), ("there", args.other))
        )
        for part in args.only or parts:
            found[part] = compare(part, here, there, work)
            print(f"{part}: {'; '.join(found[part]) or 'the same'}", flush=True)
    if args.json:
        write_file(args.json, json.dumps(found, indent=1))
    return int(any(found.values()))


def write_images(folder: pathlib.Path) -> None:
    """Writes three smooth images of different sizes, with noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, (height, width) in enumerate(((110, 132), (121, 100), (100, 150))):
        y, x = np.mgrid[:height, :width] / 20
        smooth = np.sin(np.stack([x + y, 2 * x, y - x], axis=-1) + index) * 80 + 128
        image = smooth + rng.normal(0, 12, smooth.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"{index}.png")


def compare(part: str, here: Checkout, there: Checkout, work: pathlib.Path) -> list[str]:
    """Returns what differs in that part, in words."""
    try:
        if part in TRAININGS:
            return compare_trainings(part, here, there, work)
        if part == "files":
            return compare_files(here, there)
        return compare_rows(part, here, there)
    except Failure as failure:
        return [str(failure)]


def compare_trainings(part: str, here: Checkout, there: Checkout, work: pathlib.Path) -> list[str]:
    """Trains in both checkouts, and compares weights, logs and results."""
    training = TRAININGS[part]
    places = {"images": str(work / "images"), "teacher": str(work / "teacher.safetensors")}
    if any("{teacher" in changes for changes in training.changes):
        write_teacher(there, places["teacher"])
    runs = [checkout.results / part for checkout in (here, there)]
    for call, changes in enumerate(training.changes):
        config = work / f"{part}_{call}.py"
        base = "train.base" if training.verb == "train" else "base_ablation"
        text = f"    {changes.format(**places) if '{teacher' in changes else changes}"
        config.write_text(_CONFIG.format(base=base, images=places["images"], changes=text))
        last = call == len(training.changes) - 1
        wait(
            process
            for checkout, run in zip((here, there), runs, strict=True)
            if checkout is there or last  # what is resumed was begun by the other one
            for process in start_training(checkout, training, config, run)
        )
        if not last:
            shutil.copytree(runs[1], runs[0])
    return compare_runs(*runs)


def start_training(
    checkout: Checkout, training: Training, config: pathlib.Path, run: pathlib.Path
) -> list[subprocess.Popen[str]]:
    """Starts the processes of one training."""
    command = ["-c", training.before + _SESR, training.verb]
    command += ["--config", str(config), "--workdir", str(run)]
    if training.verb == "train":
        command.append("--quiet")
    if training.processes == 1:
        return [checkout.start(command, training.devices)]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command += ["--coordinator", address, "--processes", str(training.processes), "--process"]
    return [checkout.start([*command, str(i)], training.devices) for i in range(training.processes)]


def write_teacher(checkout: Checkout, path: str) -> None:
    """Writes a small network of random weights."""
    script = (
        "import sys, jax; from sesr_jax.models import network\n"
        "options = dict(form='collapsible', expansion=8, blocks=1)\n"
        "network.save(network.init('sesr_m3', scale=2, key=jax.random.key(5), **options), sys.argv[1])"
    )
    wait([checkout.start(["-c", script, path])])


def wait(processes: Iterator[subprocess.Popen[str]] | list[subprocess.Popen[str]]) -> None:
    """Waits for all of `processes`, which have been started.

    Raises:
      Failure: one of them did not succeed; it gives the last line that was said.
    """
    started = list(processes)
    try:
        said = [process.communicate()[1] for process in started]
    finally:
        for process in started:  # which would go on alone where this one is stopped
            process.kill()
    for process, text in zip(started, said, strict=True):
        if process.returncode:
            last = (text.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
            raise Failure(f"{' '.join(map(str, process.args[3:]))[:80]} fails: {last}")  # type: ignore[index]


def compare_files(here: Checkout, there: Checkout) -> list[str]:
    """Exports the same weights in both checkouts and compares bytes, or arrays for weight files."""
    differences: list[str] = []
    for network in NETWORKS:
        weights = there.root / "sesr_jax" / "pretrained" / f"{network}.safetensors"
        for name, options in FILES.items():
            outs = [c.results / "files" / network / name for c in (here, there)]
            command = ["-c", _SESR, "export", "--model", str(weights), *options]
            if not name.endswith(".safetensors"):
                command += ["--size", "48x40"]
            wait(
                checkout.start([*command, "--out", str(out)])
                for checkout, out in zip((here, there), outs, strict=True)
            )
            if name.endswith(".safetensors"):
                found = compare_weights(*outs)
            else:
                ours, theirs = (out.read_bytes() for out in outs)
                found = [] if ours == theirs else ["its bytes differ"]
            differences += [f"{network}/{name}: {words}" for words in found]
    return differences


def compare_rows(name: str, here: Checkout, there: Checkout) -> list[str]:
    """Runs a benchmark of estimates in both checkouts, and compares its results but for their duration."""
    outs = [checkout.results / f"{name}.json" for checkout in (here, there)]
    for out in outs:
        out.parent.mkdir(parents=True, exist_ok=True)
    command = ["-m", f"benchmarks.{name}", *_ROWS[name]]
    wait(
        checkout.start([*command, "--json", str(out)])
        for checkout, out in zip((here, there), outs, strict=True)
    )
    ours, theirs = (json.loads(out.read_text("utf-8")) for out in outs)
    return [
        f"{key}: {describe_difference(ours.get(key), theirs[key])}"
        for key in theirs
        if key != "seconds" and ours.get(key) != theirs[key]
    ]


if __name__ == "__main__":
    # The folder of results is removed however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
