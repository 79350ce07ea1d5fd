"""Weights that ship with the package, and the one way to name a trained network.

network = find_network("sesr_m5_x2")                # shipped here
network = find_network("runs/sesr_m5_x2")           # the folder of a run
network = find_network("model.safetensors")         # a file
"""

import os
import pathlib

from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.train import load_network

_FOLDER = pathlib.Path(__file__).parent


def shipped() -> dict[str, pathlib.Path]:
    """The weight files of the package by name, such as "sesr_m5_x2"."""
    return {file.stem: file for file in sorted(_FOLDER.glob("*.safetensors"))}


def find_network(spec: str | os.PathLike[str]) -> network.Network:
    """The trained network that `spec` names: a shipped one, a run's folder or a .safetensors file.

    Raises:
      InputError: there is no such network, or its file is damaged.
    """
    path, files = pathlib.Path(spec), shipped()
    if str(spec) in files:
        return network.load(files[str(spec)])
    if path.suffix == ".safetensors":
        return network.load(path)
    if path.is_dir():
        return load_network(path)
    known = ", ".join(files) or "none in this version"
    raise InputError(
        f"no trained network {str(spec)!r}: it must be a shipped one ({known}), the folder of a run or a "
        ".safetensors file; train one with `sesr train`."
    )
