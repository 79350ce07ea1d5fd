"""Loading the upscaler that a user names: a trained network, an exported file, or bicubic interpolation."""

import os

from sesr_jax.pretrained import find_network
from sesr_jax.upscale.onnx_upscaler import from_onnx
from sesr_jax.upscale.tflite_upscaler import from_tflite
from sesr_jax.upscale.upscaler import Upscaler, bicubic_upscaler, from_network

_BICUBIC = "bicubic_x"


def load_upscaler(spec: str | os.PathLike[str]) -> Upscaler:
    """Returns the upscaler `spec`: "bicubic_x2" (any scale), a .tflite or .onnx file, or a trained network.

    Trained networks are named as `pretrained.find_network` takes them.

    Raises:
      InputError: there is no such model, or its file is damaged.
    """
    name = str(spec)
    if is_network(spec):
        return from_network(find_network(name))
    if name.endswith(".tflite"):
        return from_tflite(name)
    if name.endswith(".onnx"):
        return from_onnx(name)
    return bicubic_upscaler(int(name.removeprefix(_BICUBIC)))


def is_network(spec: str | os.PathLike[str]) -> bool:
    """Returns whether `spec` names a trained network, not an exported file or bicubic interpolation."""
    name = str(spec)
    bicubic = name.startswith(_BICUBIC) and name.removeprefix(_BICUBIC).isdecimal()
    return not (bicubic or name.endswith((".tflite", ".onnx")))
