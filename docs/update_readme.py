"""Writes the tables of README and of experiments/README, from what is in the repository.

The zoo is as `sesr models` counts it, and results are those of the facts beside the shipped networks
(``sesr_jax/pretrained/*.json``). Where there is a demo's folder, its scores are those of its results.

python docs/update_readme.py [runs/demo]
"""

import contextlib
import io
import pathlib
import re
import sys
from typing import Any

from sesr_jax.cli.main import main
from sesr_jax.files import replace_file
from sesr_jax.pretrained import cards
from sesr_jax.publish import COLUMNS, recipe, results, results_table
from sesr_jax.recipes import FAMILIES, RECIPES
from sesr_jax.report import markdown_table

ROOT = pathlib.Path(__file__).resolve().parents[1]


def zoo() -> str:
    """What ``sesr models --scale 2`` prints, without its first line."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["models", "--scale", "2"])
    return _code(printed.getvalue().partition("\n")[2].strip())


def shipped() -> str:
    """The results of every shipped network."""
    return _code(results_table(cards()))


def experiments() -> str:
    """Every recipe: what it is and, where its network ships, how that was trained and what it reaches."""
    rows = []
    files = {name: family.__file__ for family in FAMILIES for name in family.RECIPES}
    for name, file in sorted(files.items()):
        model = RECIPES[name].get_config().model
        wanted = (model.name, model.scale, model.options.to_dict())
        rows.append([f"[{name}](../{pathlib.Path(file).relative_to(ROOT)})", RECIPES[name].title])
        facts = next((facts for facts in cards() if _identity(facts) == wanted), None)
        rows[-1] += _trained(facts) if facts else ["not trained", "", "", ""]
    sets = " / ".join(COLUMNS)
    header = ["recipe", "what it is", "trained", f"float: {sets}", "INT8", "float above the paper"]
    return f"\n{markdown_table(rows, header)}\n"


def _identity(facts: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    return facts["model"], facts["scale"], facts.get("options", {})


def _trained(facts: dict[str, Any]) -> list[str]:
    name = facts["name"]
    cells = [" / ".join(column) for column in zip(*results(facts), strict=True)]
    return [f"[{name}](../sesr_jax/pretrained/{name}.md): {recipe(facts)}", *cells]


def scores(demo: pathlib.Path) -> str:
    """The quality table among a demo's results."""
    text = (demo / "results.txt").read_text("utf-8")
    return _code(re.search(r"^PSNR in dB.*?\n(.*?)\n\n", text, re.M | re.S)[1])


def _code(table: str) -> str:
    return f"```text\n{table}\n```"


def filled(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers `name`."""
    block = f"<!-- {name} -->\n{table}\n<!-- end of {name} -->"
    return re.sub(rf"<!-- {name} -->.*?<!-- end of {name} -->", lambda _: block, text, flags=re.S)


TABLES = {
    "models": ("README.md", zoo),
    "results": ("README.md", shipped),
    "experiments": ("experiments/README.md", experiments),
}
"""By the name of its markers: the file that a table is in, and what makes it."""


def write(file: str, name: str, table: str) -> None:
    """Puts `table` into `file`."""
    with replace_file(ROOT / file) as temporary:
        text = (ROOT / file).read_text("utf-8")
        temporary.write_text(filled(text, name, table), "utf-8")


if __name__ == "__main__":
    for name, (file, make) in TABLES.items():
        write(file, name, make())
    demo = pathlib.Path((*sys.argv, "runs/demo")[1])
    if len(sys.argv) > 1 or demo.is_dir():
        write("README.md", "demo", scores(demo))
