"""Writes README's tables, from what is in the repository and, where there is one, from a demo's results.

The zoo is as `sesr models` counts it, the shipped networks' results are those of the facts beside them
(``sesr_jax/pretrained/*.json``), and the demo's scores are those of the last `make demo`.

python docs/update_readme.py [runs/demo]
"""

import contextlib
import io
import pathlib
import re
import sys

from sesr_jax.cli.main import main
from sesr_jax.files import replacing
from sesr_jax.pretrained import cards
from sesr_jax.publish import results_table

ROOT = pathlib.Path(__file__).resolve().parents[1]


def zoo() -> str:
    """What ``sesr models --scale 2`` prints, without its first line."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["models", "--scale", "2"])
    return printed.getvalue().partition("\n")[2].strip()


def scores(demo: pathlib.Path) -> str:
    """The quality table among a demo's results."""
    text = (demo / "results.txt").read_text("utf-8")
    return re.search(r"^PSNR in dB.*?\n(.*?)\n\n", text, re.M | re.S)[1]


def filled(text: str, name: str, table: str) -> str:
    """`text` with `table` as the block of code between the markers `name`."""
    block = f"<!-- {name} -->\n```text\n{table}\n```\n<!-- end of {name} -->"
    return re.sub(rf"<!-- {name} -->.*?<!-- end of {name} -->", lambda _: block, text, flags=re.S)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    content = filled(readme.read_text("utf-8"), "models", zoo())
    content = filled(content, "results", results_table(cards()))
    demo = pathlib.Path((*sys.argv, "runs/demo")[1])
    if len(sys.argv) > 1 or demo.is_dir():
        content = filled(content, "demo", scores(demo))
    with replacing(readme) as temporary:
        temporary.write_text(content, "utf-8")
