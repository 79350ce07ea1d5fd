"""The weights that ship with the package, and `find_network`, which finds any trained network by its name.

network = find_network("sesr_m5_x2")                # shipped here, collapsed
network = find_network("sesr_m5_x2_expanded")       # the same as it was trained
network = find_network("sesr_m5_x2_qat")            # trained on for INT8
network = find_network("runs/sesr_m5_x2")           # the folder of a run
network = find_network("model.safetensors")         # a file
network = find_network("RFDN_AIM.pth")              # official weights of others, recognised
"""

import difflib
import json
import os
import pathlib
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.importers import SUFFIXES, recognise_network
from sesr_jax.models import network
from sesr_jax.train import load_network

FOLDER = pathlib.Path(__file__).parent
"""The folder of the weights that ship, with the facts and cards that `sesr publish` wrote."""

_FORMS = ("_expanded", "_qat")
"""The suffixes of the names of networks that are not collapsed and float."""


def list_shipped_files() -> dict[str, pathlib.Path]:
    """Returns the weight files of the package by name, such as "sesr_m5_x2"."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.safetensors"))}


def read_facts() -> tuple[dict[str, Any], ...]:
    """Returns the facts about every shipped network, the smaller scales and networks first."""
    facts = [json.loads(file.read_text("utf-8")) for file in FOLDER.glob("*.json")]
    return tuple(sorted(facts, key=lambda f: (f["scale"], f["cost"]["macs"], f["name"])))


def find_network(spec: str | os.PathLike[str]) -> network.Network:
    """Returns the trained network that `spec` names.

    It is a shipped one, a run's folder, a .safetensors file, or a file of another project with a network that
    `importers.recognise_network` knows: .safetensors, PyTorch's (.pth) or ncnn's (.bin beside its .param).

    Raises:
      InputError: there is no such network, or its file is damaged.
    """
    path, files = pathlib.Path(spec), list_shipped_files()
    if str(spec) in files:
        return network.load(files[str(spec)])
    if path.suffix == ".safetensors" and network.is_written_here(path):
        return network.load(path)
    if path.suffix in (".safetensors", *SUFFIXES):
        return recognise_network(path)
    if path.is_dir():
        return load_network(path)
    known = [name for name in files if not name.endswith(_FORMS)]
    near = difflib.get_close_matches(str(spec).lower(), files, n=1)
    raise InputError(
        f"no trained network {str(spec)!r}: it must be a shipped one ({', '.join(known)}; also with "
        f"{' or '.join(_FORMS)}), the folder of a run or a .safetensors, .pth or .bin file; "
        + (f"did you mean {near[0]!r}?" if near else "`sesr train` trains one.")
    )
