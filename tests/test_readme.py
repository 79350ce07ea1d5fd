"""What README shows is what its commands print."""

import pathlib
import re
import runpy

_ROOT = pathlib.Path(__file__).parents[1]
_README = (_ROOT / "README.md").read_text("utf-8")


def test_the_table_of_the_zoo_is_current():
    update = runpy.run_path(str(_ROOT / "docs" / "update_readme.py"))
    assert update["filled"](_README, "models", update["zoo"]()) == _README


def test_the_results_are_those_of_the_shipped_networks():
    update = runpy.run_path(str(_ROOT / "docs" / "update_readme.py"))
    assert (
        update["filled"](_README, "results", update["results_table"](update["cards"]())) == _README
    )
    assert _README.count("<!-- results -->") == 1


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
