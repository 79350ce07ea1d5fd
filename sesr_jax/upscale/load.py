"""Loading the upscaler that a user names: a trained network, an exported file, or bicubic interpolation."""

import os

from sesr_jax.errors import InputError
from sesr_jax.pretrained import find_network
from sesr_jax.upscale.onnx_upscaler import from_onnx
from sesr_jax.upscale.runtimes import Runtime, choose_upscaler
from sesr_jax.upscale.tflite_upscaler import from_tflite
from sesr_jax.upscale.upscaler import Upscaler, bicubic_upscaler
from sesr_jax.upscale.value_range import RANGES, check_range, with_range

_BICUBIC = "bicubic_x"


def load_upscaler(
    spec: str | os.PathLike[str], runtime: Runtime = "auto", *, white: int | None = None
) -> Upscaler:
    """Returns the upscaler `spec`: "bicubic_x2" (any scale), a .tflite or .onnx file, or a trained network.

    Args:
      spec: the upscaler; trained networks are named as `pretrained.find_network` takes them.
      runtime: what runs a trained network (`choose_upscaler`); files have a runtime of their own.
      white: for a .tflite or .onnx file alone, the value of white in its float images: 1 (the default) or
        255.

    Raises:
      InputError: there is no such model, its file is damaged or needs another `white`, or `white` is given
        for something else; or as `choose_upscaler`.
    """
    name = str(spec)
    if is_exported(spec):
        upscaler = from_tflite(name) if name.endswith(".tflite") else from_onnx(name)
        check_range(upscaler, name, white or RANGES[0])
        return with_range(upscaler, white or RANGES[0])
    if white is not None:
        raise InputError(f"--range {white} is for .tflite and .onnx files, which {name} is not.")
    if is_network(spec):
        return choose_upscaler(find_network(name), runtime)
    return bicubic_upscaler(int(name.removeprefix(_BICUBIC)))


def is_exported(spec: str | os.PathLike[str]) -> bool:
    """Returns whether `spec` names an exported file, .tflite or .onnx."""
    return str(spec).endswith((".tflite", ".onnx"))


def is_network(spec: str | os.PathLike[str]) -> bool:
    """Returns whether `spec` names a trained network, not an exported file or bicubic interpolation."""
    name = str(spec)
    bicubic = name.startswith(_BICUBIC) and name.removeprefix(_BICUBIC).isdecimal()
    return not (bicubic or is_exported(spec))
