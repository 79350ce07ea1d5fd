"""Writes the address of the repository into the notebooks and README, from pyproject.toml.

python docs/update_address.py

The address stands in pyproject.toml alone, as `repository` of `[tool.sesr_jax]`. Where a notebook lies in no
checkout, as on Colab, its first code cell installs the package from there. If the repository is on GitHub,
each notebook and README also get badges by which Colab opens the notebooks. Without an address there are no
badges, and a notebook outside a checkout asks for the address.
"""

import json
import pathlib
import re
import sys
import tomllib
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.files import write_file

ROOT = pathlib.Path(__file__).resolve().parents[1]

_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
_CELL = "open-in-colab"
_SOURCE = re.compile(r'^REPOSITORY = ".*?"', re.M)


def read_address(root: pathlib.Path) -> str:
    """Returns the address of the repository, such as https://github.com/OWNER/NAME; "" if it has none.

    Raises:
      InputError: it is no such address.
    """
    with open(root / "pyproject.toml", "rb") as file:
        address: str = tomllib.load(file)["tool"]["sesr_jax"]["repository"]
    if not re.fullmatch(r"(https://[\w.-]+(/[\w.-]+)+)?", address):
        raise InputError(
            f"repository in pyproject.toml is {address!r}: it must be like https://github.com/OWNER/NAME, or "
            "empty."
        )
    return address.removesuffix(".git")


def make_badge(address: str, name: str) -> str:
    """Returns the badge by which Colab opens the notebook `name`; "" for what is not on GitHub."""
    place = address.removeprefix("https://github.com/")
    if place == address:
        return ""
    url = f"https://colab.research.google.com/github/{place}/blob/main/colabs/{name}"
    return f"[![Open {name.removesuffix('.ipynb')} in Colab]({_BADGE})]({url})"


def with_address(notebook: dict[str, Any], name: str, address: str) -> dict[str, Any]:
    """Returns a notebook, as JSON has it, that installs the package from `address` and has its badge.

    Raises:
      InputError: no cell, or more than one, sets REPOSITORY.
    """
    cells, found = [], 0
    for cell in notebook["cells"]:
        if cell["id"] == _CELL:
            continue
        if cell["cell_type"] == "code":
            source = f'REPOSITORY = "{address and "git+" + address}"'
            text, count = _SOURCE.subn(lambda _, new=source: new, "".join(cell["source"]))
            found += count
            cell = {**cell, "source": text.splitlines(keepends=True)}
        cells.append(cell)
    if found != 1:
        raise InputError(f"{name} sets REPOSITORY {found} times: it must do so once.")
    if badge := make_badge(address, name):
        cells.insert(0, {"cell_type": "markdown", "id": _CELL, "metadata": {}, "source": [badge]})
    return {**notebook, "cells": cells}


def make_pages(root: pathlib.Path) -> dict[pathlib.Path, str]:
    """Returns the texts of the notebooks and README in `root` with its address.

    Raises:
      InputError: as `read_address` and `with_address`.
    """
    address, pages = read_address(root), {}
    paths = sorted((root / "colabs").glob("*.ipynb"))
    for path in paths:
        notebook = with_address(json.loads(path.read_text("utf-8")), path.name, address)
        pages[path] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    badges = "".join(f"{badge}\n" for path in paths if (badge := make_badge(address, path.name)))
    block = f"<!-- badges -->\n{badges}<!-- end of badges -->"
    readme = root / "README.md"
    pages[readme] = re.sub(
        "<!-- badges -->.*?<!-- end of badges -->",
        lambda _: block,
        readme.read_text("utf-8"),
        flags=re.S,
    )
    return pages


if __name__ == "__main__":
    try:
        for page, text in make_pages(ROOT).items():
            write_file(page, text)
    except InputError as error:
        sys.exit(str(error))
