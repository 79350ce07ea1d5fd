"""From a trained network to a TFLite or ONNX file in one call."""

import itertools
import os
import pathlib
from collections.abc import Iterable
from typing import Literal

from sesr_jax import __version__
from sesr_jax.data import Picture
from sesr_jax.export.onnx import export_onnx
from sesr_jax.export.tflite import export_tflite
from sesr_jax.metrics import RGB, Y
from sesr_jax.models.network import Network
from sesr_jax.quant import calibrate

_CALIBRATION_IMAGES = 32


def export_network(
    network: Network,
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int],
    calibration: Iterable[Picture] | None,
    io_dtype: Literal["int8", "uint8"] = "int8",
) -> None:
    """Writes `network`, collapsed, for inputs of `size` (height, width).

    Args:
      network: the trained network.
      path: of the file, an ONNX one where it ends in .onnx, and a TFLite one otherwise.
      size: of the input; a .tflite file runs at this one, an .onnx file at all.
      calibration: pictures on whose low resolutions the ranges of a full-INT8 file are measured, of
        which the first 32 are used; None for a float file.
      io_dtype: of a full-INT8 .tflite file's pixels; those of an .onnx file are float.

    Raises:
      InputError: as `export_tflite`, `export_onnx` and `calibrate`.
    """
    graph = network.graph((1, *size, network.channels))
    ranges = None
    if calibration is not None:
        some = itertools.islice(calibration, _CALIBRATION_IMAGES)
        pair = (Y if network.channels == 1 else RGB).pair
        ranges = calibrate(graph, (pair(picture, network.scale)[0][None] for picture in some))
    metadata = {
        "model": network.name,
        "scale": network.scale,
        "channels": network.channels,
        "version": __version__,
    }
    if pathlib.Path(path).suffix == ".onnx":
        export_onnx(graph, path, ranges=ranges, metadata=metadata)
    else:
        export_tflite(graph, path, ranges=ranges, io_dtype=io_dtype, metadata=metadata)
