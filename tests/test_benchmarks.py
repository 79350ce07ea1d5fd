"""Every benchmark runs, in small, by its command."""

import json
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_SMOKE = {
    "collapse": "--form dense --batch 2 --patch 16 --repetitions 1 --large sesr_m3 --small sesr_m3"
}


def test_every_benchmark_has_a_smoke_mode():
    assert {p.stem for p in (_ROOT / "benchmarks").glob("*.py")} == set(_SMOKE)


@pytest.mark.parametrize("name", _SMOKE)
def test_benchmarks_run_and_write_their_results(name, tmp_path):
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *_SMOKE[name].split()]
    ran = subprocess.run(
        [*command, "--json", str(results)], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    (result,) = json.loads(results.read_text("utf-8"))
    assert result["form"] == "dense"
    assert all(seconds > 0 for part in ("large", "small") for seconds in result[part].values())
    assert "expanded / collapsed" in ran.stdout
