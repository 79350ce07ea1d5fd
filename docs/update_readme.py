"""Writes the tables of README, the guides and experiments/README, from what is in the repository.

The zoo is as `sesr models` counts it, and results are those of the facts beside the shipped networks
(``sesr_jax/pretrained/*.json``). Where there is a demo's folder, its scores are those of its results.

python docs/update_readme.py [runs/demo]
"""

import contextlib
import inspect
import io
import pathlib
import re
import sys
from typing import Any

from sesr_jax.cli.main import main
from sesr_jax.files import write_file
from sesr_jax.pretrained import read_facts
from sesr_jax.publish import (
    COLUMNS,
    describe_training,
    list_figures,
    make_results_table,
    with_note,
)
from sesr_jax.recipes import FAMILIES, RECIPES
from sesr_jax.reparam import FORMS
from sesr_jax.report import format_markdown_table

ROOT = pathlib.Path(__file__).resolve().parents[1]


def list_models() -> str:
    """Returns what ``sesr models --scale 2`` prints, without its first line."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["models", "--scale", "2"])
    return _fence(printed.getvalue().partition("\n")[2].strip())


def list_forms() -> str:
    """Returns every form by its name, with the first line of its description."""
    rows = []
    for name, form in FORMS.items():
        options = getattr(form, "keywords", {})
        text = (inspect.getdoc(getattr(form, "func", form)) or "").partition("\n")[0]
        rows.append([f"`{name}`", " ".join([text, *(f"`{k}={v}`." for k, v in options.items())])])
    return f"\n{format_markdown_table(rows, ['form', 'what it is'])}\n"


def list_results() -> str:
    """Returns the results of every shipped network."""
    return _fence(make_results_table(read_facts()))


def list_recipes() -> str:
    """Returns every recipe: what it is and, where its network ships, its training and its results."""
    rows = []
    files = {name: family.__file__ for family in FAMILIES for name in family.RECIPES}
    for name, file in sorted(files.items()):
        config = RECIPES[name].get_config()
        model, critic = config.model, config.trainer == "adversarial"
        wanted = (model.name, model.scale, model.options.to_dict(), critic)
        rows.append([f"[{name}](../{pathlib.Path(file).relative_to(ROOT)})", RECIPES[name].title])
        facts = next((facts for facts in read_facts() if _identity(facts) == wanted), None)
        rows[-1] += _trained(facts) if facts else ["not trained", "", "", ""]
    sets = " / ".join(COLUMNS)
    header = ["recipe", "what it is", "trained", f"float: {sets}", "INT8", "float above the paper"]
    return f"\n{with_note(format_markdown_table(rows, header))}\n"


def _identity(facts: dict[str, Any]) -> tuple[str, int, dict[str, Any], bool]:
    """Returns the network, and whether it was trained against a critic."""
    critic = any("adversarial" in stage["loss"] for stage in facts["training"])
    return facts["model"], facts["scale"], facts.get("options", {}), critic


def _trained(facts: dict[str, Any]) -> list[str]:
    name = facts["name"]
    cells = [" / ".join(column) for column in zip(*list_figures(facts), strict=True)]
    return [f"[{name}](../sesr_jax/pretrained/{name}.md): {describe_training(facts)}", *cells]


def read_scores(demo: pathlib.Path) -> str:
    """Returns the quality table among a demo's results."""
    text = (demo / "results.txt").read_text("utf-8")
    return _fence(re.search(r"^PSNR in dB.*?\n(.*?)\n\n", text, re.M | re.S)[1])


def _fence(table: str) -> str:
    return f"```text\n{table}\n```"


def with_table(text: str, name: str, table: str) -> str:
    """Returns `text` with `table` between the markers `name`."""
    block = f"<!-- {name} -->\n{table}\n<!-- end of {name} -->"
    return re.sub(rf"<!-- {name} -->.*?<!-- end of {name} -->", lambda _: block, text, flags=re.S)


TABLES = {
    "forms": ("docs/algebra.md", list_forms),
    "models": ("docs/zoo.md", list_models),
    "results": ("README.md", list_results),
    "experiments": ("experiments/README.md", list_recipes),
}
"""By the name of its markers: the file that a table stands in, and the function that makes it."""


def write_table(file: str, name: str, table: str) -> None:
    """Writes `table` into `file`."""
    text = (ROOT / file).read_text("utf-8")
    write_file(ROOT / file, with_table(text, name, table))


if __name__ == "__main__":
    for name, (file, make) in TABLES.items():
        write_table(file, name, make())
    demo = pathlib.Path((*sys.argv, "runs/demo")[1])
    if len(sys.argv) > 1 or demo.is_dir():
        write_table("README.md", "demo", read_scores(demo))
