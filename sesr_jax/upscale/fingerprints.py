"""Fingerprints of upscalers: texts that differ where the images that they make may differ."""

import hashlib
import json
import pathlib

import jax

from sesr_jax.files import compute_checksums
from sesr_jax.models.network import Network
from sesr_jax.reparam.packing import pack


def fingerprint_network(network: Network, runtime: str) -> str:
    """Returns the fingerprint of a network that `runtime` runs, on the device that jax has chosen."""
    arrays, structure = pack(network.variables)
    facts = {
        "runtime": f"{runtime}, {jax.default_backend()}",
        "network": network.title,
        "scheme": repr(network.scheme),
        "structure": structure,
        "arrays": compute_checksums(arrays),
    }
    return _hash(json.dumps(facts, sort_keys=True, default=repr).encode())


def fingerprint_file(path: str) -> str:
    """Returns the fingerprint of an exported file, which one runtime runs."""
    return _hash(pathlib.Path(path).read_bytes())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
