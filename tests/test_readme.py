"""The tables of README, the guides and experiments/README are what `docs/update_readme.py` makes."""

import pathlib
import runpy

import pytest

from sesr_jax.recipes import RECIPES

_ROOT = pathlib.Path(__file__).parents[1]
_UPDATE = runpy.run_path(str(_ROOT / "docs" / "update_readme.py"))


@pytest.mark.parametrize("name", _UPDATE["TABLES"])
def test_tables_are_current(name):
    file, make = _UPDATE["TABLES"][name]
    text = (_ROOT / file).read_text("utf-8")
    assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end of {name} -->") == 1
    assert _UPDATE["with_table"](text, name, make()) == text


def test_an_experiment_is_known_by_all_of_its_network(monkeypatch):
    facts = {**_UPDATE["read_facts"]()[0], "name": "mine", "model": "sesr_m5", "scale": 3}
    facts["options"] = {"channels": 3, "activation": "relu"}
    make = _UPDATE["list_recipes"]
    monkeypatch.setitem(make.__globals__, "read_facts", lambda: (facts,))
    rows = [line for line in make().splitlines() if line.startswith("| [")]
    assert len(rows) == len(RECIPES)
    (row,) = [row for row in rows if "not trained" not in row]
    assert row.startswith("| [sesr_m5_rgb_x3](../sesr_jax/recipes/sesr.py) |")
    assert "[mine](../sesr_jax/pretrained/mine.md)" in row
