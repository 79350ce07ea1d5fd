"""The upscaler that a user names: a trained network, a .tflite or .onnx file, or bicubic interpolation."""

import os

from sesr_jax.pretrained import find_network
from sesr_jax.upscale.onnx_upscaler import from_onnx
from sesr_jax.upscale.tflite_upscaler import from_tflite
from sesr_jax.upscale.upscaler import Upscaler, bicubic_upscaler, from_network


def load_upscaler(spec: str | os.PathLike[str]) -> Upscaler:
    """What `spec` names: "bicubic_x2" (any scale), a .tflite or .onnx file, or as `pretrained.find_network`.

    Raises:
      InputError: there is no such model, or its file is damaged.
    """
    name = str(spec)
    kind, _, scale = name.partition("_x")
    if kind == "bicubic" and scale.isdecimal():
        return bicubic_upscaler(int(scale))
    if name.endswith(".tflite"):
        return from_tflite(name)
    if name.endswith(".onnx"):
        return from_onnx(name)
    return from_network(find_network(name))
