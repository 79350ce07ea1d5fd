"""How the results of two checkouts differ, in words, for `benchmarks.unchanged`."""

import json
import pathlib
from typing import Any

import numpy as np
from safetensors.numpy import load_file

_SHOWN = 100
"""The characters of a row that a message shows."""


def compare_runs(here: pathlib.Path, there: pathlib.Path) -> list[str]:
    """Returns what differs between two folders of trainings."""
    files = sorted(p.name for p in there.iterdir() if p.suffix in (".safetensors", ".json"))
    differences = []
    for name in files:
        if not (here / name).is_file():
            differences.append(f"{name} is missing")
        elif name.endswith(".safetensors"):
            differences += compare_weights(here / name, there / name)
        elif name != "config.json":
            ours, theirs = (json.loads((run / name).read_text("utf-8")) for run in (here, there))
            differences += compare_results(name, ours["result"], theirs["result"])
    if (there / "log.jsonl").exists():
        ours, theirs = (read_log(run / "log.jsonl") for run in (here, there))
        same = len(ours) == len(theirs) and all(
            theirs[i].items() <= line.items() for i, line in enumerate(ours)
        )
        if not same:
            differences.append("the logs differ")
    return differences if files else ["nothing was written"]


def compare_results(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Returns what differs between two results of a condition, but for the rounding of mean losses."""
    return [
        f"{name}: {key} is {ours.get(key)}, not {value}"
        for key, value in theirs.items()
        if ours.get(key) != value
        and not (key == "losses" and np.allclose(ours.get(key, ()), value, rtol=1e-6, atol=0))
    ]


def read_log(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the lines of a log, without the speed that no two runs share."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


def compare_weights(here: pathlib.Path, there: pathlib.Path) -> list[str]:
    """Returns what differs between the arrays of two weight files."""
    ours, theirs = load_file(here), load_file(there)
    if ours.keys() != theirs.keys():
        return [f"{here.name} has other arrays: {sorted(ours.keys() ^ theirs.keys())[:3]}"]
    changed = [
        name
        for name, array in theirs.items()
        if (array.dtype, array.shape) != (ours[name].dtype, ours[name].shape)
        or array.tobytes() != ours[name].tobytes()
    ]
    return [f"{here.name}: {len(changed)} arrays differ, such as {changed[0]}"] if changed else []


def describe_difference(ours: Any, theirs: Any) -> str:
    """Returns in words how two results differ; of lists of rows, which rows one of them has alone."""
    if not isinstance(ours, list) or not isinstance(theirs, list):
        return f"{str(ours)[:_SHOWN]}, not {str(theirs)[:_SHOWN]}"
    alone = [
        [row for row in rows if row not in others]
        for rows, others in ((ours, theirs), (theirs, ours))
    ]
    if not any(alone):
        return "its rows have another order"
    here, there = (str(rows[0])[:_SHOWN] if rows else "none" for rows in alone)
    counts = [len(rows) for rows in alone]
    return (
        f"{counts[0]} rows here alone, such as {here}, and {counts[1]} there alone, such as {there}"
    )
