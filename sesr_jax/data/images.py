"""Reads image files as uint8 arrays, of their colours alone.

Arrays are ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB), `uint8`, as a viewer shows them: the EXIF orientation
is applied and palettes are resolved. Colour profiles are not applied.

    pixels = read_image("in.jpg")

`sesr_jax.data.photos` reads and writes files with all else that they hold.
"""

import logging
import os

import numpy as np
from PIL import Image, ImageOps

from sesr_jax.data.image_files import open_image
from sesr_jax.errors import InputError

_log = logging.getLogger(__name__)


def read_image(path: str | os.PathLike[str] | bytes) -> np.ndarray:
    """Reads a file of an image, which is known by its content; `path` may be its bytes.

    It is PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF, or HEIF (the extra `heic`).
    Alpha is dropped with a logged warning; the colours under it are kept. Samples of 16 bits
    keep their high byte; float samples must lie in [0, 1] and are rounded to codes of 255. CMYK
    and YCbCr become RGB by Pillow's formulas. Only the first frame of an animation is read.

    Returns:
        uint8 ``[H, W]`` for a grey file, ``[H, W, 3]`` for any other.

    Raises:
        InputError: the file is missing, damaged, truncated or of another format.
    """
    with open_image(path) as (file, name):
        image = ImageOps.exif_transpose(file)
        image.load()
    if image.has_transparency_data:
        _log.warning("%s has an alpha channel, which is dropped.", name)
    return to_uint8(image, name)


def to_uint8(image: Image.Image, path: str) -> np.ndarray:
    """Converts an image of any Pillow mode to an array by the rules of `read_image`."""
    match image.mode:
        case "1" | "L" | "LA":
            return np.array(image.convert("L"))
        case "P" | "PA":
            return np.array(image.convert("RGBA").convert("RGB"))
        case "RGB" | "RGBA" | "RGBX" | "CMYK" | "YCbCr":
            return np.array(image.convert("RGB"))
        case "I;16" | "I;16B":
            return (np.array(image) >> 8).astype(np.uint8)
        case "F":
            values = np.array(image)
            if values.min() >= 0 and values.max() <= 1:  # false for NaN as well
                return np.floor(values * 255 + 0.5).astype(np.uint8)
            raise InputError(
                f"{path} has float samples from {values.min()} to {values.max()}: they must lie in [0, 1]."
            )
    raise InputError(
        f"{path} has pixels of Pillow's mode {image.mode}: they must be grey, RGB, CMYK or YCbCr."
    )
