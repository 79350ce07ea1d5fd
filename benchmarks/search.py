"""Measures how many candidates per hour a search trains on this machine, and what makes them more.

    python -m benchmarks.search --minutes 10
    python -m benchmarks.search --minutes 10 --row "one process" --row "workers=2"

- **rows**: each is a search of one generation in a process of its own, with the same candidates: as many as
  one process trains in the given minutes, by the time that the first one takes. The time is that of the whole
  command, with imports, compilation and evaluation. ``inherit`` is no row: a child of its parent's weights is
  trained for as long as others.
- **at once**: a step of the first candidate, alone and with several networks of its shape as one batch of
  networks (`vmap`), each by its own seed.

What stands behind ``--config.…`` goes to all searches, such as ``--config.data.train=FOLDER``.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.accelerator_step import make_call
from benchmarks.timing import measure_in_turns
from sesr_jax.files import write_file
from sesr_jax.recipes import read_config
from sesr_jax.report import format_table
from sesr_jax.train.hardware import describe_hardware

_ROWS: dict[str, dict[str, int]] = {
    "one process": {},
    "crop=96": {"crop": 96},
    "workers=2": {"workers": 2},
    "halvings=2": {"halvings": 2},
    "crop=96, workers=2, halvings=2": {"crop": 96, "workers": 2, "halvings": 2},
}
"""What is set in `config.search`, by the name of a row."""

_SESR = "import sys; from sesr_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"
_PER_CALL = 10


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="of one process; %(default)s")
    parser.add_argument("--config", default="sesr_search_x2:cpu", help="default %(default)s")
    parser.add_argument("--row", action="append", choices=_ROWS, metavar="ROW", help="of these")
    parser.add_argument("--repetitions", type=int, default=20, help="of steps; %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    parser.add_argument("--at-once", type=int, nargs="*", default=[2, 4], help="%(default)s")
    args, overrides = parser.parse_known_args(argv)
    options = ["--config", args.config, *overrides]

    found: dict[str, Any] = {"rows": {}}
    with tempfile.TemporaryDirectory() as place:
        first = _search(options, pathlib.Path(place) / "first", 1, {})
        count = 2 * max(1, round(args.minutes * 60 / first["candidate"]["seconds"] / 2))
        for name in args.row or _ROWS:
            row = _search(options, pathlib.Path(place) / name, count, _ROWS[name])
            found["rows"][name] = {"seconds": row["seconds"], "load": os.getloadavg()[0]}
            print(f"{name}: {count} candidates in {row['seconds']:.0f} s", flush=True)
    found |= {
        "candidates": count,
        "together": _measure_together(args, overrides, first["candidate"]),
    }

    print(f"\n{describe_hardware()}, load {os.getloadavg()[0]:.1f}; {args.config}")
    print(_format_rows(found))
    print(f"\n{_format_together(found)}")
    if args.json:
        write_file(args.json, json.dumps(found, indent=1))


def _search(options: list[str], folder: pathlib.Path, count: int, settings: dict[str, int]) -> Any:
    """Returns the "seconds" of a search of `count` candidates, and the result of a "candidate"."""
    given = {"num_individual": count, "num_elitism": 1, "num_generation": 1, "seeds": False}
    given |= {"long.steps": 0, **settings}
    options = [*options, *(f"--config.search.{key}={value}" for key, value in given.items())]
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", _SESR, "search", "--workdir", str(folder), "--quiet", *options],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    result = next(folder.glob("candidates/*/result.json")).read_text("utf-8")
    return {"seconds": seconds, "candidate": json.loads(result)}


def _measure_together(
    args: argparse.Namespace, overrides: list[str], candidate: Any
) -> dict[str, dict[str, float]]:
    """Returns the seconds of a step and of the first call, by how many networks are trained at once."""
    config = read_config(args.config, overrides)
    step = argparse.Namespace(
        model=candidate["model"],
        options=candidate["options"],
        batch=config.data.batch,
        crop=config.data.patch,
    )
    calls, firsts = {}, {}
    for count in (1, *args.at_once):
        calls[str(count)] = make_call(step, config.dtype, count, _PER_CALL)
        start = time.perf_counter()
        calls[str(count)]()
        firsts[str(count)] = time.perf_counter() - start
    seconds = measure_in_turns(calls, args.repetitions)
    return {
        name: {"seconds": seconds[name] / _PER_CALL, "first_call_seconds": firsts[name]}
        for name in calls
    }


def _format_rows(found: Any) -> str:
    rates = {
        name: 3600 * found["candidates"] / row["seconds"] for name, row in found["rows"].items()
    }
    base = next(iter(rates.values()))
    rows = [
        (
            name,
            f"{found['candidates']}",
            f"{row['seconds']:.0f}",
            f"{rates[name]:.1f}",
            f"{rates[name] / base:.2f}×",
            f"{row['load']:.1f}",
        )
        for name, row in found["rows"].items()
    ]
    return format_table(rows, ["search", "candidates", "s", "per hour", "speed", "load"])


def _format_together(found: Any) -> str:
    alone = found["together"]["1"]["seconds"]
    rows = [
        (
            name,
            f"{row['seconds'] * 1e3:.2f}",
            f"{row['seconds'] * 1e3 / int(name):.2f}",
            f"{alone * int(name) / row['seconds']:.2f}×",
            f"{row['first_call_seconds']:.1f}",
        )
        for name, row in found["together"].items()
    ]
    header = ["networks at once", "ms per step", "ms per network", "speed", "first call, s"]
    return format_table(rows, header)


if __name__ == "__main__":
    main()
