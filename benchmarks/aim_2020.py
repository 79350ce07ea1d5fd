"""Tells which cost predicts the time of efficient networks on which hardware: Spearman's rank correlations.

    python -m benchmarks.aim_2020                       # estimates for every target
    python -m benchmarks.aim_2020 --repetitions 5       # also times on this machine, by XLA

AIM 2020's report correlates the runtimes of its entries on a Titan Xp with their costs; the first row comes
from the published rows alone. All other rows are of those entries that are in the zoo (`ours`, the same
networks for each row), for an image of 256×256.
"""

import argparse
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence

import jax

from benchmarks.timing import measure_in_turns
from sesr_jax.challenges import AIM_2020, Measures
from sesr_jax.compare import count_costs
from sesr_jax.files import write_file
from sesr_jax.graph import eval_shapes
from sesr_jax.models import network
from sesr_jax.npu import Layer, estimate, layers_from_graph
from sesr_jax.report import format_table
from sesr_jax.targets import find_target, list_targets

_PUBLISHED = "published, Titan Xp"


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, estimates, measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target", action="append", help="an NPU; repeatable; by default each that is described"
    )
    parser.add_argument("--repetitions", type=int, default=0, help="of each network here")
    parser.add_argument("--json", type=pathlib.Path, help="also write times and correlations there")
    args = parser.parse_args(argv)

    names = [entry.model for entry in AIM_2020.entries if entry.model]
    costs = {
        name: eval_shapes(lambda name=name: count_costs(AIM_2020, _make(name))) for name in names
    }
    layers = {name: eval_shapes(lambda name=name: _find_layers(name)) for name in names}
    clocks = {
        f"ours, {target}": _estimate(layers, target) for target in args.target or list_targets()
    }
    if args.repetitions:
        clocks["ours, this machine"] = _measure(names, args.repetitions)
    tables: dict[str, list[Measures]] = {_PUBLISHED: [e.measures for e in AIM_2020.entries]}
    tables["published, ours alone"] = [
        {**costs[e.model], "milliseconds": e.measures["milliseconds"]}
        for e in AIM_2020.entries
        if e.model
    ]
    for clock, times in clocks.items():
        tables[clock] = [{**costs[name], "milliseconds": ms} for name, ms in times.items()]
    found = {clock: AIM_2020.correlate(table) for clock, table in tables.items()}
    titles = {one.key: one.title for one in AIM_2020.measures}
    header = ["time", "networks", *(titles[key] for key in AIM_2020.correlated)]
    rows = [
        [
            clock,
            sum({"milliseconds", *values} <= one.keys() for one in tables[clock]),
            *(f"{values[k]:.4f}" if k in values else "–" for k in AIM_2020.correlated),
        ]
        for clock, values in found.items()
    ]
    print(format_table(rows, header))
    if args.json:
        write_file(args.json, json.dumps({"correlations": found, "milliseconds": clocks}, indent=2))


def _make(name: str) -> network.Network:
    return network.init(name, scale=AIM_2020.scale, key=jax.random.key(0)).collapse()


def _find_layers(name: str) -> Sequence[Layer]:
    return layers_from_graph(_make(name).trace((1, *AIM_2020.frame, 3)))


def _estimate(layers: Mapping[str, Sequence[Layer]], target: str) -> dict[str, float]:
    """Returns the estimated milliseconds of each network."""
    described = find_target(target)
    return {name: estimate(each, described).seconds * 1e3 for name, each in layers.items()}


def _measure(names: Sequence[str], repetitions: int) -> dict[str, float]:
    """Returns the median milliseconds of each network on this machine."""
    image = jax.random.uniform(jax.random.key(1), (1, *AIM_2020.frame, 3))
    compiled = {name: jax.jit(_make(name).apply) for name in names}
    functions = {name: functools.partial(run, image) for name, run in compiled.items()}
    medians = measure_in_turns(functions, repetitions)
    return {name: seconds * 1e3 for name, seconds in medians.items()}


if __name__ == "__main__":
    main()
