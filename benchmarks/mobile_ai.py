"""Fits the VS680's target to the times of the Mobile AI challenges, and prints what is left over.

    python -m benchmarks.mobile_ai

The bandwidth of the board's memory is not public. It is the one that makes the squared logarithms of
estimate over published time least, on the networks whose layers are public (XLSR, ABPN). The cost of a
nearest-neighbour resizing is the one that gives ALONG, which has one, its time; ALONG's layers are
reconstructed, so that this is no more than a guess. The others took no part: the residual of a
reconstructed network is that of the reconstruction too, and the entries of 2022 ran in another memory
layout (XCAT, arXiv:2208.14655: 30 ms and 8.8 ms for one network in two layouts).
"""

import argparse
import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Sequence

from benchmarks.npu_networks import build_from_zoo
from sesr_jax.challenges import MOBILE_AI_2021, MOBILE_AI_2022, Entry
from sesr_jax.files import write_file
from sesr_jax.npu import Layer, estimate
from sesr_jax.report import format_table
from sesr_jax.targets import Target, find_target

_EXACT = ("xlsr", "abpn")
_RESIZING = "along"


def estimate_milliseconds(layers: Sequence[Layer], target: Target) -> float:
    """Returns the estimated milliseconds of a frame."""
    return estimate(layers, target).seconds * 1e3


def with_bandwidth(target: Target, bytes_per_cycle: float) -> Target:
    """Returns `target` with another bandwidth of its memory."""
    memory = dataclasses.replace(target.memory, dram_bytes_per_cycle=bytes_per_cycle)
    return dataclasses.replace(target, memory=memory)


def with_resizing(target: Target, cycles: float) -> Target:
    """Returns `target` with another cost of a resized element."""
    rule = dataclasses.replace(target.ops["resize"], cycles=cycles)
    return dataclasses.replace(target, ops={**target.ops, "resize": rule})


def fit(target: Target, layers: dict[str, list[Layer]], times: dict[str, float]) -> Target:
    """Returns `target` with the bandwidth and the cost of resizing that suit the published `times`."""

    def error(logarithm: float) -> float:
        tried = with_bandwidth(target, math.exp(logarithm))
        ratios = (estimate_milliseconds(layers[name], tried) / times[name] for name in _EXACT)
        return sum(math.log(ratio) ** 2 for ratio in ratios)

    bandwidth = math.exp(minimise(error, math.log(0.5), math.log(32)))
    target = with_bandwidth(target, bandwidth)

    def miss(cycles: float) -> float:
        tried = with_resizing(target, cycles)
        return abs(estimate_milliseconds(layers[_RESIZING], tried) - times[_RESIZING])

    return with_resizing(target, minimise(miss, 1, 128))


def minimise(function: Callable[[float], float], low: float, high: float) -> float:
    """Returns where `function`, which falls and then rises, is least.

    It cuts golden sections, down to 0.1 % of the interval.
    """
    ratio = (math.sqrt(5) - 1) / 2
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    values = [function(x) for x in inner]
    for _ in range(15):
        if values[0] < values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - ratio * (high - low)
            values[0] = function(inner[0])
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + ratio * (high - low)
            values[1] = function(inner[1])
    return (low + high) / 2


def _format_row(entry: Entry, layers: list[Layer], target: Target) -> list[str]:
    published, ours = entry.measures["milliseconds"], estimate_milliseconds(layers, target)
    used = "fitted to" if entry.edition == "2021" and entry.model in (*_EXACT, _RESIZING) else ""
    kind = "" if entry.model in _EXACT else "reconstructed"
    error = f"{ours / published - 1:+.0%}"
    cells = [entry.edition, entry.team, entry.model, kind, f"{published:.2f}"]
    return [*cells, f"{ours:.2f}", error, used]


def make_parser(description: str | None, target: str) -> argparse.ArgumentParser:
    """Returns a parser of what a fit takes; `target` is the default of the NPU that is fitted."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default=target, help="default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, fits, and prints residuals."""
    args = make_parser(__doc__, "vs680").parse_args(argv)

    target = find_target(args.target)
    challenges = (MOBILE_AI_2021, MOBILE_AI_2022)
    entries = [e for c in challenges for e in c.entries if e.model and "milliseconds" in e.measures]
    frame = MOBILE_AI_2021.frame
    layers = {
        name: build_from_zoo(name, *frame) for name in dict.fromkeys(e.model for e in entries)
    }
    times = {e.model: e.measures["milliseconds"] for e in entries if e.edition == "2021"}
    fitted = fit(target, layers, times)
    header = ["edition", "entry", "model", "", "ms", "ours", "", ""]
    rows = [_format_row(entry, layers[entry.model], target) for entry in entries]
    print(format_table(rows, header, "<<<<>>><"))
    values = {
        "dram_bytes_per_cycle": (
            target.memory.dram_bytes_per_cycle,
            fitted.memory.dram_bytes_per_cycle,
        ),
        "resize_cycles": (target.ops["resize"].cycles, fitted.ops["resize"].cycles),
    }
    print()
    for name, (held, found) in values.items():
        print(f"{name}: {held:g} in {target.name}, {found:.3g} by the fit")
    if args.json:
        content = {"rows": rows, "fit": values}
        write_file(args.json, json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
