"""What README shows is what its commands print."""

import pathlib
import re
import runpy

import pytest

from sesr_jax.recipes import RECIPES

_ROOT = pathlib.Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text("utf-8")


_UPDATE = runpy.run_path(str(_ROOT / "docs" / "update_readme.py"))


@pytest.mark.parametrize("name", _UPDATE["TABLES"])
def test_tables_are_current(name):
    file, make = _UPDATE["TABLES"][name]
    text = (_ROOT / file).read_text("utf-8")
    assert text.count(f"<!-- {name} -->") == text.count(f"<!-- end of {name} -->") == 1
    assert _UPDATE["filled"](text, name, make()) == text


def test_an_experiment_is_known_by_all_of_its_network(monkeypatch):
    facts = {**_UPDATE["cards"]()[0], "name": "mine", "model": "sesr_m5", "scale": 3}
    facts["options"] = {"channels": 3, "activation": "relu"}
    make = _UPDATE["experiments"]
    monkeypatch.setitem(make.__globals__, "cards", lambda: (facts,))
    rows = [line for line in make().splitlines() if line.startswith("| [")]
    assert len(rows) == len(RECIPES)
    (row,) = [row for row in rows if "not trained" not in row]
    assert row.startswith("| [sesr_m5_rgb_x3](../sesr_jax/recipes/sesr.py) |")
    assert "[mine](../sesr_jax/pretrained/mine.md)" in row


def test_the_examples_run_one_after_another():
    code = "\n".join(re.findall(r"```python\n(.*?)```", _README, re.S))
    assert code.count("assert") == 2
    exec(compile(code, "README.md", "exec"), {})


def test_every_command_shown_exists():
    from sesr_jax.cli.main import VERBS

    assert set(re.findall(r"^sesr (\w+)", _README, re.M)) <= set(VERBS)


def test_files_that_are_named_exist():
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", _README):
        assert (_ROOT / path).exists(), path
