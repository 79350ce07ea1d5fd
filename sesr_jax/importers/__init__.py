"""Reads other projects' weights as this project's networks; each project has a module with a map of names.

network = import_weights("arm", "model_weights.index", model="sesr_m5", scale=2)
network = recognise_network("RFDN_AIM.pth")     # its model, scale and sizes follow from names and shapes
models.network.save(network, "m5.safetensors")
"""

from sesr_jax.importers.arrays import SUFFIXES, read_arrays
from sesr_jax.importers.recognise import LAYOUTS, recognise_network
from sesr_jax.importers.weights import SOURCES, import_weights

__all__ = [
    "LAYOUTS",
    "SOURCES",
    "SUFFIXES",
    "import_weights",
    "read_arrays",
    "recognise_network",
]
