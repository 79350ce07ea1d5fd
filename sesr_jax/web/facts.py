"""What a page must know of a network and its files to upscale a photo as this package does.

Whatever both compute is stated here once, by the functions that compute it: the tiles, the matrices of
colours, and the weights of bicubic interpolation.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from sesr_jax.data import contributions, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.errors import InputError
from sesr_jax.export import Quantisation, TFLiteModel
from sesr_jax.graph import tile_step
from sesr_jax.upscale import Upscaler, find_photo_halo


def find_facts(upscaler: Upscaler, tile: tuple[int, int]) -> dict[str, Any]:
    """Returns what a page must know of a network whose files take tiles of this height and width.

    Raises:
      InputError: see `check_tile`.
    """
    return {
        "scale": upscaler.scale,
        "channels": upscaler.channels,
        "tile": list(tile),
        "halo": check_tile(upscaler, tile),
        "align": upscaler.extent.align,
        "toYCbCr": _state_affine(rgb_to_ycbcr),
        "toRGB": _state_affine(ycbcr_to_rgb),
        "bicubic": _state_bicubic(upscaler.scale),
    }


def find_file_facts(name: str, path: pathlib.Path) -> dict[str, Any]:
    """Returns what a page must know of one of its .tflite files.

    Args:
      name: what the page calls it.
      path: a file that stands beside the page.

    Raises:
      InputError: it takes or gives codes for which LiteRT.js has no type.
    """
    model = TFLiteModel(path.read_bytes())
    codes = {side: _state_codes(getattr(model, side), path) for side in ("input", "output")}
    return {"name": name, "path": path.name, **codes}


def check_tile(upscaler: Upscaler, tile: tuple[int, int]) -> int:
    """Returns the halo of tiles of photos, in input pixels.

    Raises:
      InputError: the network looks at the whole image, or a tile of this height and width keeps nothing
        beside its halo, or is no multiple of what the network takes.
    """
    halo, align = find_photo_halo(upscaler), upscaler.extent.align
    for side in tile:
        tile_step(side, halo, align)
        if side % align:
            raise InputError(
                f"tiles of {tile[1]}×{tile[0]}: {upscaler.name} takes multiples of {align}."
            )
    return halo


def _state_affine(function: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """Returns the matrix, whose rows are the inputs, and the offset of an affine map of three channels."""
    offset = function(np.zeros(3))
    return {"matrix": (function(np.eye(3)) - offset).tolist(), "offset": offset.tolist()}


def _state_bicubic(scale: int) -> list[dict[str, Any]]:
    """Returns for each of the `scale` pixels in the place of one: the first neighbour, and the weights."""
    length, middle = 16, 8  # far from the edges
    weights, indices = contributions(length, length * scale, scale)
    return [
        {"first": int(indices[row, 0]) - middle, "weights": weights[row].tolist()}
        for row in range(middle * scale, (middle + 1) * scale)
    ]


def _state_codes(codes: Quantisation | None, path: pathlib.Path) -> dict[str, Any] | None:
    if codes is None:
        return None
    if codes.dtype != np.uint8:
        raise InputError(
            f"{path} has pixels of {codes.dtype}, for which LiteRT.js has no type: they must be uint8 or "
            "float32."
        )
    return {"scale": codes.scale, "zero_point": codes.zero_point}
