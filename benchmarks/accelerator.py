"""All that is to be learned from some minutes on a machine with an accelerator and without a network.

    python -m benchmarks.carry carry --package ml-collections --train FOLDER --held-out Set5
    python -m benchmarks.accelerator OUT --minutes 9 --carry carry

- **check**: the packages and the devices that are there, and whether a tiny training on the device gives what
  it gives on the CPU.
- **measure**: the step of SESR-M5 beside what the device does at best (`benchmarks.accelerator_step`).
- **train**: SESR-M5, and then SESR-M11, by the paper's recipe for the rest of the time, on the images of
  ``carry/train.zip``. Their scores are those on ``carry/held_out.zip``.

The first command makes the carried folder where there is a network. OUT gets seven files: ``report.json`` and
``log.txt`` from the first second on, ``profile.tar.gz``, and every half minute the weights of a model
(``sesr_m5.safetensors``) and its run (``sesr_m5_run.zip``). A run that lies in the carried folder goes on
where it ended. Each part runs in processes of its own, so that one that fails takes nothing with it; the
command then ends with status 1.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accelerator_report import Report, format_report

# Neither jax nor sesr_jax is imported here: what they need may be missing, or in the carried folder.

_ROOT = pathlib.Path(__file__).parents[1]
_MODELS = ("sesr_m5", "sesr_m11")
_PARTS = ("check", "measure", "train")
_EVERY = 30.0
"""The seconds between two copies of a run."""

_LAST = 40.0
"""The seconds kept for stopping a training and for measuring its network."""

_CHECKS, _MEASURES = 90.0, 200.0
"""The most seconds of the first two parts."""

_TOLERANCE = 1e-2
"""How far the weights of the tiny training may be apart, over how far they went; float32 rounds otherwise."""

_SMALL = ("blocks=1", "features=4", "expansion=8")
"""The model's options in a rehearsal."""


def main(argv: list[str] | None = None) -> int:
    """Parses `argv`, does what there is time for, and prints a summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=pathlib.Path, help="the folder of results")
    parser.add_argument("--minutes", type=float, default=9.0, help="in all; default %(default)s")
    parser.add_argument("--carry", type=pathlib.Path, help="made by benchmarks.carry")
    parser.add_argument("--only", choices=_PARTS, action="append", help="a part; repeatable")
    parser.add_argument("--model", action="append", help=f"default {' and '.join(_MODELS)}")
    parser.add_argument("--set", action="append", default=[], help="of a config: optim.lr=1e-3")
    parser.add_argument("--small", action="store_true", help="seconds on a CPU, as a rehearsal")
    args = parser.parse_args(argv)
    if args.carry and not args.carry.is_dir():
        parser.error(f"--carry {args.carry} is not a folder: benchmarks.carry makes it.")
    args.deadline = time.monotonic() + 60 * args.minutes
    args.out.mkdir(parents=True, exist_ok=True)
    parts = {"check": _check, "measure": _measure, "train": _train}
    report: Report = {"failed": []}
    with tempfile.TemporaryDirectory(prefix="accelerator-") as temporary:
        args.temporary = pathlib.Path(temporary)
        for name in args.only or _PARTS:
            try:
                parts[name](args, report)
            except Exception as error:  # the other parts may still tell something
                report["failed"].append(f"{name}: {type(error).__name__}: {error}")
            _write_report(args, report)
    print(format_report(report))
    return 1 if report["failed"] else 0


def _check(args: argparse.Namespace, report: Report) -> None:
    """Reports what is there, and compares a tiny training on the device and on the CPU."""
    report["machine"] = {
        "python": platform.python_version(),
        "packages": {name: _find_version(name, args) for name in _list_needed()},
        "devices": _ask_nvidia(),
    }
    _write_report(args, report)
    files = {kind: args.temporary / f"tiny_{kind}.json" for kind in ("device", "cpu")}
    commands = {
        kind: [sys.executable, "-m", "benchmarks.accelerator_tiny", str(file)]
        for kind, file in files.items()
    }
    # The first uses all bits in products, as a CPU does.
    environments = {
        "device": {"JAX_DEFAULT_MATMUL_PRECISION": "highest"},
        "cpu": {"JAX_PLATFORMS": "cpu"},
    }
    seconds = _limit(args, _CHECKS)
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(_start(args, commands[kind], environments[kind]))
            for kind in commands
        ]
        for process in started:
            _wait(process, seconds)
    device, cpu = (json.loads(file.read_text("utf-8")) for file in files.values())
    difference = compare_weights(device, cpu)
    report["check"] = {
        "device": device["device"],
        "difference": difference,
        "tolerance": _TOLERANCE,
        "losses": [device["losses"], cpu["losses"]],
    }
    if not difference <= _TOLERANCE:
        raise RuntimeError(
            f"the tiny training on {device['device']} ends {difference:.2g} apart from the CPU's: "
            f"at most {_TOLERANCE} is rounding."
        )


def _limit(args: argparse.Namespace, seconds: float) -> float:
    """Returns how long a part may take: `seconds`, or all the time that is left, in a rehearsal."""
    left = args.deadline - time.monotonic()
    return left if args.small else min(seconds, left)


def compare_weights(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """Returns the distance of the last weights of two tiny trainings, over the way of the first's."""
    apart = sum((x - y) ** 2 for x, y in zip(a["weights"], b["weights"], strict=True))
    went = sum((x - y) ** 2 for x, y in zip(a["weights"], a["first_weights"], strict=True))
    return float((apart / went) ** 0.5)


def _measure(args: argparse.Namespace, report: Report) -> None:
    """Runs `benchmarks.accelerator_step`, and keeps what it has measured when time is up."""
    results, traces = args.temporary / "step.json", args.temporary / "traces"
    options = ["--traces", str(traces), *(["--small"] if args.small else [])]
    command = [sys.executable, "-m", "benchmarks.accelerator_step", str(results), *options]
    try:
        with _start(args, command) as process:
            _wait(process, _limit(args, _MEASURES))
    finally:
        if results.exists():
            report["step"] = json.loads(results.read_text("utf-8"))
        if traces.exists():
            with (
                _replace(args.out / "profile.tar.gz") as temporary,
                tarfile.open(temporary, "w:gz") as archive,
            ):
                archive.add(traces, "traces")


def _train(args: argparse.Namespace, report: Report) -> None:
    """Trains one model after the other until each one's recipe or the time is at its end."""
    _use_packages(args)
    # This process measures networks while another one trains on the device.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from benchmarks import carry

    images = {}
    for name, file in (("train", carry.TRAIN), ("eval", carry.HELD_OUT)):
        images[name] = f"embedded:{name}"
        if args.carry and (args.carry / file).is_file():
            carry.unpack(args.carry / file, args.temporary / name)
            images[name] = name  # in the training's folder: a run goes on under the same name alone
    report["trained"] = {}
    for model in args.model or (("sesr_m3",) if args.small else _MODELS):
        if args.deadline - time.monotonic() < 2 * _LAST and not args.small:
            break
        report["trained"][model] = {"images": images}
        _train_model(args, model, images, report)


def _train_model(
    args: argparse.Namespace, model: str, images: Mapping[str, str], report: Report
) -> None:
    """Trains a model in a process of its own, and copies its run to OUT on the way."""
    run = args.temporary / model
    if args.carry and (args.carry / f"{model}_run.zip").is_file():
        shutil.unpack_archive(args.carry / f"{model}_run.zip", run)
    found = report["trained"][model]
    command = [
        *(sys.executable, "-c"),
        "import sys; from sesr_jax.cli.main import main; sys.exit(main(sys.argv[1:]))",
        *("train", "--quiet", "--workdir", str(run)),
        *("--config", f"{model}_x2{':smoke' if args.small else ''}"),
        *(f"--config.data.{name}={where}" for name, where in images.items()),
        "--config.data.small=skip",
    ]
    if args.small:
        command += [f"--config.model.options.{option}" for option in _SMALL]
    else:
        every = _count_steps(report, _EVERY / 2)
        command += [f"--config.checkpoint_every={every}", f"--config.eval_every={2 * every}"]
    command += [f"--config.{setting}" for setting in args.set]
    end = args.deadline - (0 if args.small else _LAST)
    with _start(args, command) as process:
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, min(_EVERY, end - time.monotonic())))
            if process.poll() is None:
                _keep(args, run, found)
                _write_report(args, report)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # it saves its state
            _wait(process, _LAST / 2, good=(0, 128 + signal.SIGTERM, -signal.SIGTERM))
        elif process.returncode:
            raise RuntimeError(f"the training of {model} ended with status {process.returncode}.")
    _keep(args, run, found)
    found["scores"] = _score(args, model, images["eval"])


def _count_steps(report: Report, seconds: float) -> int:
    """Returns how many steps of SESR-M5 take so long, by what was measured: a multiple of a call's 100."""
    cases = report.get("step", {}).get("steps", {})
    speed = next((1 / case["seconds"] for case in cases.values()), 500.0)
    # A divisor of the recipe's 480,000 steps is not needed: a checkpoint also comes last.
    return max(1, round(seconds * speed / 100)) * 100


def _keep(args: argparse.Namespace, run: pathlib.Path, found: Report) -> None:
    """Copies the weights and the last checkpoint of `run` to OUT, if it has one yet."""
    from sesr_jax import train
    from sesr_jax.errors import InputError
    from sesr_jax.models import network

    try:
        trained = train.load_network(run)
    except InputError:  # none yet, or the training has just put another in its place
        return
    steps = [file for file in (run / "checkpoints").iterdir() if file.name.isdecimal()]
    last = max(steps, key=lambda step: int(step.name))
    network.save(trained, args.out / f"{run.name}.safetensors", step=last.name)
    with (
        _replace(args.out / f"{run.name}_run.zip") as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for file in [run / "config.json", run / "log.jsonl", *sorted(last.rglob("*"))]:
            archive.write(file, file.relative_to(run))
    lines = list(train.read_log(run))
    found["step"] = int(last.name)
    found["log"] = [line for line in lines if "psnr" in line]


def _score(args: argparse.Namespace, model: str, images: str) -> dict[str, float]:
    """Returns the scores on the held-out images of the weights that OUT has."""
    from sesr_jax.data import open_source
    from sesr_jax.metrics import NetworkEvaluator
    from sesr_jax.models import network

    where = args.temporary / images
    trained = network.load(args.out / f"{model}.safetensors")
    found = open_source(str(where) if where.is_dir() else images, scale=2)
    return NetworkEvaluator(trained, found)(trained.variables)


def _list_needed() -> list[str]:
    """Returns the packages that the package needs, as setup.py lists them."""
    text = (_ROOT / "setup.py").read_text("utf-8")
    (block,) = re.findall(r"install_requires=\[(.*?)\]", text, re.S)
    return re.findall(r'"([\w.-]+)', block)


def _find_version(package: str, args: argparse.Namespace) -> str | None:
    _use_packages(args)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _use_packages(args: argparse.Namespace) -> None:
    for path in _list_paths(args):
        if path not in sys.path:
            sys.path.insert(0, path)


def _list_paths(args: argparse.Namespace) -> list[str]:
    """Returns where packages are beside those installed: the repository, and what was carried."""
    carried = [str((args.carry / "site").absolute())] if args.carry else []
    return [str(_ROOT), *carried]


def _ask_nvidia() -> str | None:
    """Returns name, memory and driver of each GPU; None where there is no nvidia-smi."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


@contextlib.contextmanager
def _start(
    args: argparse.Namespace, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a process whose output goes to the log, and ends it with the block."""
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = os.pathsep.join([*_list_paths(args), *map(os.path.abspath, before)])
    variables = {
        **_ENVIRONMENT,
        "PYTHONPATH": paths,
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
    }
    with open(args.out / "log.txt", "ab") as log:
        process = subprocess.Popen(
            list(command), env=variables, stdout=log, stderr=subprocess.STDOUT, cwd=args.temporary
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


_ENVIRONMENT = dict(os.environ)
"""Of the processes: this one's is changed later, so that it leaves the device to them."""


def _wait(process: subprocess.Popen[bytes], seconds: float, good: Sequence[int] = (0,)) -> None:
    """Waits for the end of a process.

    Raises:
      RuntimeError: it takes longer, or ends with another status.
    """
    what = " ".join(map(str, process.args[1:4]))  # type: ignore[index]
    try:
        status = process.wait(max(1.0, seconds))
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{what} took more than {seconds:.0f} s.") from None
    if status not in good:
        raise RuntimeError(f"{what} ended with status {status}; log.txt says why.")


@contextlib.contextmanager
def _replace(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary path that becomes `path`, as `sesr_jax.files` does, which may not be importable."""
    temporary = path.with_name(f".{path.name}")
    yield temporary
    os.replace(temporary, path)


def _write_report(args: argparse.Namespace, report: Report) -> None:
    with _replace(args.out / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
