"""Feeds damaged and hostile files to every door of the package, and counts what becomes of them.

    python -m benchmarks.fuzz --minutes 30
    python -m benchmarks.fuzz --door onnx --seconds 60 --seed 7
    python -m benchmarks.fuzz --case "onnx 7.123"          # one case again, with its traceback

Each case is made from its door, the seed and its number alone, so that the same command meets the same cases;
``--from 1000`` goes on behind the first thousand. A case is refused in one sentence, or succeeds; all else is
a defect, and its file is kept in ``--keep``. Cases run in worker processes, which are started again when they
die, hang or have taken too much memory.
"""

import argparse
import collections
import json
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any

from sesr_jax.files import write_file
from sesr_jax.report import format_table

OUTCOMES = ("refusal", "success", "traceback", "hang", "crash", "wrong success")
_COLUMNS = ("refusals", "successes", "tracebacks", "hangs", "crashes", "wrong successes")
_DEFECTS = OUTCOMES[2:]
_START = 300.0  # seconds that a worker may take to start on a machine under load
_MEMORY = 8 << 30  # bytes that a worker may take beyond its imports
_TURN = 2.0  # seconds of a door before the next door's, so that quick doors have more cases


def main(argv: list[str] | None = None) -> int:
    """Runs cases until the time is over, and prints a table; returns 1 where there was a defect."""
    args = _parse(argv)
    from benchmarks.fuzz_doors import DOORS, make_samples

    doors = args.door or list(DOORS)
    if unknown := [name for name in doors if name not in DOORS]:
        sys.exit(f"no door {unknown[0]!r}: it must be one of {', '.join(DOORS)}.")
    make_samples(args.samples)
    if args.worker:
        return _serve(args.samples)
    if args.case:
        return _repeat(args.case, args.samples)
    found = run(doors, args)
    header = ["door", "cases", *_COLUMNS]
    rows = [
        [door, sum(counts.values()), *(counts[outcome] for outcome in OUTCOMES)]
        for door, counts in found["counts"].items()
    ]
    print(format_table(rows, header))
    for place, cases in found["defects"].items():
        print(f"{len(cases)} × {place}, such as {cases[0]!r}")
    if args.json:
        write_file(args.json, json.dumps(found, indent=2))
    return int(bool(found["defects"]))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--minutes", type=float, default=0.0, help="how long to go on")
    add("--seconds", type=float, default=0.0, help="the same in seconds; default 60 in all")
    add("--cases", type=int, default=0, help="how many cases of each door at most")
    add("--door", action="append", help="a door, such as onnx; repeatable; default all")
    add("--seed", type=int, default=0, help="another one has other cases")
    add("--from", dest="first", type=int, default=0, help="the number of each door's first case")
    add("--timeout", type=float, default=60.0, help="seconds after which a case hangs")
    add("--case", help="a case to run again in this process, such as 'onnx 0.123'")
    add("--samples", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir(), "sesr_fuzz"))
    add(
        "--keep",
        type=pathlib.Path,
        default=pathlib.Path("fuzz_found"),
        help="the folder of defects",
    )
    add("--json", type=pathlib.Path, help="also write the counts to this file")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def run(doors: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """Runs cases of each door in turn, and returns the counts and the defects, by door and by place."""
    from tqdm import tqdm

    counts: dict[str, collections.Counter[str]] = {door: collections.Counter() for door in doors}
    defects: dict[str, list[str]] = collections.defaultdict(list)
    seconds = args.seconds + 60 * args.minutes or (1e6 if args.cases else 60.0)
    end = time.monotonic() + seconds
    following = dict.fromkeys(doors, args.first)
    last = args.first + args.cases if args.cases else sys.maxsize
    worker = _Worker(args.samples)
    with tqdm(total=round(seconds), unit="s", disable=None) as bar:
        while time.monotonic() < end and min(following.values()) < last:
            for door in doors:
                turn = min(end, time.monotonic() + _TURN)
                while time.monotonic() < turn and following[door] < last:
                    case = f"{door} {args.seed}.{following[door]}"
                    following[door] += 1
                    outcome, text = worker.run(case, args.timeout)
                    counts[door][outcome] += 1
                    if outcome in _DEFECTS:
                        place = (
                            f"{door}: {outcome} {text.partition(':')[0] if ':' in text else text}"
                        )
                        defects[f"{place.strip()}"].append(case)
                        if len(defects[place.strip()]) <= 3:
                            _keep(case, text, args)
                    bar.update(round(seconds - (end - time.monotonic())) - bar.n)
                    bar.set_postfix_str(f"{sum(map(len, defects.values()))} defects", refresh=False)
    worker.end()
    return {
        "counts": {door: dict.fromkeys(OUTCOMES, 0) | c for door, c in counts.items()},
        "defects": defects,
    }


class _Worker:
    """A process that runs cases; it is started again where it has died."""

    def __init__(self, samples: pathlib.Path) -> None:
        self._samples = samples
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, case: str, timeout: float) -> tuple[str, str]:
        """Returns the outcome of a case, and a line about it."""
        if self._process is None:
            command = [sys.executable, "-m", "benchmarks.fuzz", "--worker"]
            self._process = subprocess.Popen(
                [*command, "--samples", str(self._samples)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if self._read(_START) is None:
                self.end()
                raise RuntimeError("the worker does not start")
        assert self._process.stdin is not None
        self._process.stdin.write(f"{case}\n".encode())
        self._process.stdin.flush()
        answer = self._read(timeout)
        if answer:
            outcome, text = json.loads(answer)
            return outcome, text
        hangs = answer is None
        code = self.end()
        if hangs:
            return "hang", f"after {timeout:g} s"
        return "crash", signal.Signals(-code).name if code < 0 else f"status {code}"

    def _read(self, timeout: float) -> bytes | None:
        """Returns a line of the process, b"" where it has died, or None where it says nothing."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        return self._process.stdout.readline() if ready else None

    def end(self) -> int:
        """Ends the process, and returns its status."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        with process:
            if process.poll() is None and process.stdout is not None:
                time.sleep(0.1)
                process.kill()
        return process.returncode


def _serve(samples: pathlib.Path) -> int:
    """Runs the cases that standard input names, and answers each by a line of JSON."""
    from benchmarks.fuzz_doors import DOORS, enter, make_case
    from benchmarks.fuzz_sandbox import use_forks

    use_forks()
    answers = sys.stdout
    sys.stdout = sys.stderr
    (pages,) = (int(pathlib.Path("/proc/self/statm").read_text().split()[0]),)
    most = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        case = line.strip()
        door = case.rpartition(" ")[0]
        with tempfile.TemporaryDirectory() as folder:
            path, _ = make_case(DOORS[door], case, samples, pathlib.Path(folder))
            outcome = enter(DOORS[door], path, samples)
        print(json.dumps(outcome), file=answers, flush=True)
    return 0


def _keep(case: str, text: str, args: argparse.Namespace) -> None:
    """Writes a case's file, and what was said about it, to the folder of defects."""
    from benchmarks.fuzz_doors import DOORS, make_case

    with tempfile.TemporaryDirectory() as folder:
        door = case.rpartition(" ")[0]
        path, _ = make_case(DOORS[door], case, args.samples, pathlib.Path(folder))
        args.keep.mkdir(parents=True, exist_ok=True)
        name = case.replace(" ", "_").replace(",", "")
        shutil.copy(path, args.keep / f"{name}{path.suffix}")
        write_file(args.keep / f"{name}.txt", f"{case}\n{text}\n")


def _repeat(case: str, samples: pathlib.Path) -> int:
    """Runs one case in this process, with its traceback."""
    from benchmarks.fuzz_doors import DOORS, make_case

    door = DOORS[case.rpartition(" ")[0]]
    with tempfile.TemporaryDirectory() as folder:
        path, data = make_case(door, case, samples, pathlib.Path(folder))
        print(f"{path.name}, {len(data):,} bytes")
        try:
            door.enter(path, samples)
        except Exception:
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
