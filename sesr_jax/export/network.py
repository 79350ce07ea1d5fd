"""From a trained network to a TFLite file in one call."""

import itertools
import os
from collections.abc import Iterable
from typing import Literal

from sesr_jax import __version__
from sesr_jax.data import Picture
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
      path: of the .tflite file.
      size: of the input; the file runs at this one.
      calibration: pictures on whose low resolutions the ranges of a full-INT8 file are measured, of
        which the first 32 are used; None for a float file.
      io_dtype: of a full-INT8 file's pixels.

    Raises:
      InputError: as `export_tflite` and `calibrate`.
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
    export_tflite(graph, path, ranges=ranges, io_dtype=io_dtype, metadata=metadata)
