"""The estimate beside Arm's own: the open estimator of the Ethos-N driver stack, 860 cases.

``pytest tests/npu/test_vendor.py -s`` prints each network's errors. The bounds below are what a user
may rely on; the vendor's schedule search is not ours, so DRAM traffic differs most where a tensor
nearly fits on chip.
"""

import csv
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from sesr_jax.npu import Report, estimate, find_target, layers_from_graph

VARIANTS = {
    "4TOPS_4PLE": "ethos-n78-4tops",
    "4TOPS_2PLE": "ethos-n78-4tops-2ple",
    "8TOPS_2PLE": "ethos-n78-8tops",
}


@dataclasses.dataclass(frozen=True)
class Case:
    row: dict[str, str]
    ours: Report

    @property
    def is_network(self) -> bool:
        return not self.row["network"].startswith("conv")

    @property
    def same_passes(self) -> bool:
        return int(self.row["passes"]) == len(self.ours.rows)

    @property
    def dram(self) -> float:
        theirs = float(self.row["dram_parallel_mb"]) + float(self.row["dram_nonparallel_mb"])
        return self.ours.dram_bytes / 1e6 / theirs - 1

    @property
    def mce(self) -> float:
        return self.ours.mce_cycles / 1e6 / float(self.row["mce_mcycles"]) - 1

    @property
    def ple(self) -> float:
        return self.ours.ple_cycles / 1e6 / float(self.row["ple_mcycles"]) - 1


@pytest.fixture(scope="module")
def cases(shared, network) -> list[Case]:
    with open(shared / "reference" / "npu" / "ethos_n78.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Case(
            row,
            estimate(
                layers_from_graph(network(row["network"], int(row["height"]), int(row["width"]))),
                find_target(VARIANTS[row["variant"]]),
                activation_saving=float(row["activation_saving"]),
            ),
        )
        for row in rows
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_mac_cycles_agree(cases, variant):
    errors = _errors(cases, lambda case: case.mce, lambda case: case.row["variant"] == variant)
    assert np.mean(errors < 0.05) > 0.95
    # Where it differs, the other algorithm was chosen: a factor of 9/4 at the most.
    assert errors.max() <= 1.25 + 1e-6


def test_vector_cycles_agree(cases):
    errors = _errors(cases, lambda case: case.ple, lambda case: case.is_network)
    assert np.median(errors) < 0.05
    assert errors.max() < 0.2


def test_dram_bytes_of_one_pass_agree(cases):
    errors = _errors(
        cases, lambda case: case.dram, lambda case: not case.is_network and case.same_passes
    )
    assert errors.size > 400
    assert errors.max() < 0.05


def test_dram_bytes_of_networks_at_1080p_agree(cases):
    errors = _errors(
        cases, lambda case: case.dram, lambda case: case.is_network and case.row["width"] == "1920"
    )
    assert np.median(errors) < 0.1
    assert errors.max() < 0.2


def test_dram_bytes_of_small_networks_are_of_the_right_size(cases):
    errors = _errors(
        cases, lambda case: case.dram, lambda case: case.is_network and case.row["width"] != "1920"
    )
    assert np.median(errors) < 0.3


def test_print_the_networks(cases):
    print()
    for case in cases:
        if case.is_network:
            row = case.row
            print(
                f"{row['network']:16} {row['variant']} {row['width']:>4}×{row['height']:<4} "
                f"saving {row['activation_saving']}: MCE {case.mce:+6.1%}  PLE {case.ple:+6.1%}  "
                f"DRAM {case.dram:+6.1%}  {case.ours.seconds * 1e3:8.3f} ms"
            )
    assert any(case.is_network for case in cases)


def _errors(
    cases: list[Case], error: Callable[[Case], float], where: Callable[[Case], bool]
) -> np.ndarray:
    return np.abs([error(case) for case in cases if where(case)])
