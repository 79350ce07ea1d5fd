"""Reads other projects' weights as this project's networks; each project has a module with a map of names.

network = import_weights("arm", "model_weights.index", model="sesr_m5", scale=2)
models.network.save(network, "m5.safetensors")
"""

from sesr_jax.importers.arrays import read_arrays
from sesr_jax.importers.weights import SOURCES, import_weights

__all__ = ["SOURCES", "import_weights", "read_arrays"]
