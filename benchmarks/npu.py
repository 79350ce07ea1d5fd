"""Measures how close the latency estimates are to those of vendors' own tools, and how fast they are made.

    python -m benchmarks.npu
    python -m benchmarks.npu --reference FOLDER --rows --json npu.json

Without the reference folder (a table of Arm's open estimator for Ethos-N78, 860 cases), only the
published figures of papers and compilers are compared. Each comparison says which of its rows were
looked at when the model was built or its figures were fitted ("seen"), and which were not ("unseen").
"""

import argparse
import csv
import dataclasses
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.npu_networks import build_network
from sesr_jax.files import write_file
from sesr_jax.npu import Report, estimate
from sesr_jax.report import format_table
from sesr_jax.targets import find_target

_REFERENCE = pathlib.Path(__file__).parents[2] / "shared" / "reference" / "npu"

VARIANTS = {
    "4TOPS_4PLE": "ethos-n78-4tops",
    "4TOPS_2PLE": "ethos-n78-4tops-2ple",
    "8TOPS_2PLE": "ethos-n78-8tops",
}
"""Our targets, by the vendor's names."""

SEEN = ("sesr_m5_x2", "fsrcnn_x2", "conv_16_", "conv_64_")
"""Beginnings of the names of networks whose rows were looked at one by one. Nothing is fitted to them: all
constants are those of the estimator's published source."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the vendor's table, and our estimate of it."""

    row: dict[str, str]
    ours: Report

    @property
    def is_network(self) -> bool:
        """Whether it is more than one convolution."""
        return not self.row["network"].startswith("conv_")

    @property
    def seen(self) -> bool:
        """Whether it was looked at while the model was built."""
        return self.row["network"].startswith(SEEN)

    @property
    def mac(self) -> float:
        """Relative error of the MAC array's cycles."""
        return self.ours.mac_cycles / 1e6 / float(self.row["mce_mcycles"]) - 1

    @property
    def vector(self) -> float:
        """Relative error of the vector engine's cycles."""
        return self.ours.vector_cycles / 1e6 / float(self.row["ple_mcycles"]) - 1

    @property
    def dram(self) -> float:
        """Relative error of the DRAM's bytes."""
        theirs = float(self.row["dram_parallel_mb"]) + float(self.row["dram_nonparallel_mb"])
        return self.ours.dram_bytes / 1e6 / theirs - 1


def read_cases(reference: pathlib.Path) -> list[Case]:
    """Returns all rows of the vendor's table, with our estimates."""
    with open(reference / "ethos_n78.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Case(
            row,
            estimate(
                build_network(row["network"], int(row["height"]), int(row["width"])),
                find_target(VARIANTS[row["variant"]]),
                activation_saving=float(row["activation_saving"]),
            ),
        )
        for row in rows
    ]


def summarise_errors(found: Sequence[Case]) -> list[list[str]]:
    """Returns the errors by group of rows."""
    groups: list[tuple[str, Callable[[Case], bool]]] = [
        ("all rows", lambda case: True),
        ("networks", lambda case: case.is_network),
        ("  seen", lambda case: case.is_network and case.seen),
        ("  unseen", lambda case: case.is_network and not case.seen),
        ("convolutions", lambda case: not case.is_network),
        ("  seen", lambda case: not case.is_network and case.seen),
        ("  unseen", lambda case: not case.is_network and not case.seen),
        *(
            (variant, lambda case, variant=variant: case.row["variant"] == variant)
            for variant in VARIANTS
        ),
    ]
    table = []
    for name, member in groups:
        group = [case for case in found if member(case)]
        cells = [name, str(len(group))]
        for errors, limit in (
            ([abs(case.mac) for case in group], 0.05),
            ([abs(case.vector) for case in group], 0.05),
            ([abs(case.dram) for case in group], 0.15),
        ):
            share = sum(error < limit for error in errors) / len(errors)
            cells += [f"{share:.1%}", f"{statistics.median(errors):.2%}", f"{max(errors):.1%}"]
        table.append(cells)
    return table


@dataclasses.dataclass(frozen=True)
class Figure:
    """A published time or traffic.

    Attributes:
      source: who printed it.
      network: its name for `build_network`.
      size: (height, width) of the input.
      target: ours.
      saving: the share that compression is assumed to save.
      milliseconds: as printed; None where there is none.
      megabytes: the DRAM traffic as printed; None where there is none.
      fitted: whether a figure of the target was fitted to it.
    """

    source: str
    network: str
    size: tuple[int, int]
    target: str
    milliseconds: float | None = None
    megabytes: float | None = None
    saving: float = 0.0
    fitted: bool = False


_HD, _TILE = (1080, 1920), (300, 400)
_PAPER = "SESR paper"
_MLIR, _BOARD = "tpu-mlir 1.30.2", "board"
_MAI = "Mobile AI 2021"
FIGURES = (
    Figure(_PAPER, "sesr_m5_x2", _HD, "ethos-n78-4tops", 27.22, 282.03, 0.5),
    Figure(_PAPER, "sesr_m5_x2", _TILE, "ethos-n78-4tops", 1.26, 7.39, 0.5),
    Figure(_PAPER, "sesr_m5_x4", _HD, "ethos-n78-4tops", 45.09, 389.86, 0.5),
    Figure(_PAPER, "sesr_m5_x4", _TILE, "ethos-n78-4tops", 2.12, 15.49, 0.5),
    Figure(_PAPER, "fsrcnn_x2", _HD, "ethos-n78-4tops", 167.38, 564.11, 0.5),
    Figure(_MLIR, "sesr_m5_x2", _HD, "bm1684x-int8", 27.8, 299.5),
    Figure(_MLIR, "sesr_m5_x2", _TILE, "bm1684x-int8", 1.68),
    Figure(_MLIR, "fsrcnn_x2", _HD, "bm1684x-int8", 181.6),
    Figure(_MLIR, "fsrcnn_x2", _TILE, "bm1684x-int8", 10.5),
    Figure(_BOARD, "realesr_general_x4", (480, 640), "bm1684x-int8", 32.57, fitted=True),
    Figure(_MLIR, "sesr_m5_x2", _HD, "bm1684x-f16", 39.6, 615, fitted=True),
    Figure(_MLIR, "sesr_m5_x2", _TILE, "bm1684x-f16", 2.39),
    Figure(_BOARD, "realesr_general_x4", (480, 640), "bm1684x-f16", 64.2, fitted=True),
    Figure(_BOARD, "realesr_general_x4", (480, 640), "bm1684x-f32", 711.05, fitted=True),
    Figure(_MAI, "xlsr_x3", (360, 640), "vs680", 44.85, fitted=True),
    Figure(_MAI, "abpn_x3", (360, 640), "vs680", 36.89, fitted=True),
)
"""Published figures of papers and compilers."""


def compare(figure: Figure) -> tuple[Report, float | None, float | None]:
    """Returns our report of a published figure, and the relative errors of time and of traffic."""
    layers = build_network(figure.network, *figure.size)
    report = estimate(layers, find_target(figure.target), activation_saving=figure.saving)
    milliseconds, megabytes = report.seconds * 1e3, report.dram_bytes / 1e6
    return (
        report,
        None if figure.milliseconds is None else milliseconds / figure.milliseconds - 1,
        None if figure.megabytes is None else megabytes / figure.megabytes - 1,
    )


def _figure_rows(figures: Iterable[Figure]) -> list[list[str]]:
    rows = []
    for figure in figures:
        report, time_error, traffic_error = compare(figure)
        rows.append(
            [
                figure.source,
                figure.target,
                figure.network,
                f"{figure.size[1]}×{figure.size[0]}",
                *_format_pair(figure.milliseconds, report.seconds * 1e3, time_error),
                *_format_pair(figure.megabytes, report.dram_bytes / 1e6, traffic_error),
                "fitted" if figure.fitted else "",
            ]
        )
    return rows


def _format_pair(theirs: float | None, ours: float, error: float | None) -> list[str]:
    shown = ["–" if theirs is None else f"{theirs:.2f}", f"{ours:.2f}"]
    return [*shown, "" if error is None else f"{error:+.0%}"]


def measure_speed(repetitions: int) -> float:
    """Returns the median of the seconds that an estimate of SESR-M5 ×2 at 1080p takes."""
    layers, target = build_network("sesr_m5_x2", *_HD), find_target("ethos-n78-4tops")
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        estimate(layers, target)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--reference", type=pathlib.Path, default=_REFERENCE, help="the folder of ethos_n78.csv"
    )
    parser.add_argument("--rows", action="store_true", help="also print each network of the table")
    parser.add_argument(
        "--repetitions",
        type=int,
        default=15,
        help="how often the estimate is timed; default %(default)s",
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the results to this file")
    args = parser.parse_args(argv)

    results: dict[str, Any] = {}
    if (args.reference / "ethos_n78.csv").is_file():
        found = read_cases(args.reference)
        header = ["Ethos-N78", "rows"]
        for what, limit in (("MAC", 5), ("vector", 5), ("DRAM", 15)):
            header += [f"{what} <{limit}%", "median", "worst"]
        table = summarise_errors(found)
        print(format_table(table, header))
        if args.rows:
            print(f"\n{format_table(_network_rows(found), _ROW_HEADER, '<<>>>>>>>')}")
        far = [case for case in found if abs(case.dram) >= 0.15 or abs(case.mac) >= 0.05]
        for case in far:
            print(
                f"outside: {case.row['network']} {case.row['variant']} {case.row['width']}×"
                f"{case.row['height']} saving {case.row['activation_saving']}: "
                f"MAC {case.mac:+.1%}, DRAM {case.dram:+.1%}"
            )
        results["ethos_n78"] = [[name.strip(), *cells] for name, *cells in table]
        print()
    rows = _figure_rows(FIGURES)
    header = ["source", "target", "network", "input", "ms", "ours", "", "MB", "ours", "", ""]
    print(format_table(rows, header, "<<<>>>>>>><"))
    results["figures"] = rows
    results["seconds"] = measure_speed(args.repetitions)
    print(f"\nan estimate of SESR-M5 ×2 at 1080p takes {results['seconds'] * 1e3:.1f} ms")
    if args.json:
        write_file(args.json, json.dumps(results, indent=2))


_ROW_HEADER = ["network", "variant", "input", "saving", "MAC", "vector", "DRAM MB", "ours", "error"]


def _network_rows(found: Iterable[Case]) -> list[list[str]]:
    return [
        [
            case.row["network"],
            case.row["variant"],
            f"{case.row['width']}×{case.row['height']}",
            case.row["activation_saving"],
            f"{case.mac:+.1%}",
            f"{case.vector:+.1%}",
            f"{case.ours.dram_bytes / 1e6 / (1 + case.dram):.2f}",
            f"{case.ours.dram_bytes / 1e6:.2f}",
            f"{case.dram:+.1%}",
        ]
        for case in found
        if case.is_network
    ]


if __name__ == "__main__":
    main()
