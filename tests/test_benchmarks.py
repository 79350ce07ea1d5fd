"""Every benchmark runs, in small, by its command."""

import json
import pathlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_SMOKE = {
    "collapse": "--form dense --batch 2 --patch 16 --repetitions 1 --large sesr_m3 --small sesr_m3",
    "export": "--model sesr_m3 --frame 48x40 --size 48x40 --repetitions 1",
    "kernels": "--case conv2d --model sesr_m3 --size 12 --repetitions 1",
    "mobile_ai": "",
    "npu": "--reference . --repetitions 1",
    "vela": "--network conv_16_16_3 --target ethos-u65-512",
}


def test_every_benchmark_has_a_smoke_mode():
    assert {p.stem for p in (_ROOT / "benchmarks").glob("*.py")} == set(_SMOKE)


def _run(name, tmp_path):
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *_SMOKE[name].split()]
    ran = subprocess.run(
        [*command, "--json", str(results)], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(results.read_text("utf-8")), ran.stdout


def test_the_collapse_is_timed(tmp_path):
    results, printed = _run("collapse", tmp_path)
    assert results["collapse"].keys() == {"step", "dense"}
    assert results["modes"]["dense"].keys() == {"collapsed", "expanded"}
    assert all(v > 0 for v in (*results["collapse"].values(), *results["modes"]["dense"].values()))
    assert "expanded / collapsed" in printed


def test_latency_estimates_stand_beside_published_figures(tmp_path):
    results, printed = _run("npu", tmp_path)
    assert results["seconds"] > 0
    assert "ethos_n78" not in results  # its table is not there
    assert all(target in printed for target in ("ethos-n78-4tops", "bm1684x-int8", "vs680"))


def test_the_target_of_mobile_ai_holds_what_is_fitted(tmp_path):
    results, printed = _run("mobile_ai", tmp_path)
    for held, found in results["fit"].values():
        assert held == pytest.approx(found, rel=0.05)
    assert "reconstructed" in printed


@pytest.mark.skipif(find_spec("ethosu") is None, reason='Vela comes with the extra "npu"')
def test_latency_estimates_stand_beside_vela(tmp_path):
    results, printed = _run("vela", tmp_path)
    (row,) = results["ethos-u65-512"]
    assert row["ours"] == pytest.approx(row["theirs"], rel=0.2)
    assert "rank correlation" in printed


def test_kernels_stand_beside_the_reference(tmp_path):
    results, printed = _run("kernels", tmp_path)
    assert [result["name"] for result in results] == ["conv2d", "sesr_m3"]
    for result in results:
        for found in result["kernels"].values():
            # Kernels may round otherwise; they compute the same function.
            assert 0 <= found["mean"] <= found["largest"] < 30
        assert result["name"] in printed


def test_exports_are_timed_and_their_files_raced(tmp_path):
    results, printed = _run("export", tmp_path)
    assert results["export"].keys() == {"jax2tf", "litert"}
    assert results["frame"].keys() == {"INT8 file", "float file", "jax.jit"}
    assert all(v > 0 for v in (*results["export"].values(), *results["frame"].values()))
    assert "against jax.jit" in printed
