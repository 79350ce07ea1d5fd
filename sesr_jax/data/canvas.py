"""An 8-bit image that is filled part by part, in the memory from which Pillow encodes it."""

from typing import Any

import numpy as np
from PIL import Image


class Canvas:
    """Takes parts as an array ``[H, W, 1 or 3]`` of uint8 does, and is written by `write_canvas`.

    A large image is thus held once, where an array would be copied for the encoder.

    Attributes:
      image: the image, grey or RGB.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: Any = np.uint8) -> None:
        """Makes a black image; `dtype` must be uint8."""
        height, width, channels = shape
        if np.dtype(dtype) != np.uint8 or channels not in (1, 3):
            raise ValueError(
                f"a canvas of {np.dtype(dtype)}{list(shape)}: it is of uint8, grey or RGB."
            )
        self.image = Image.new("L" if channels == 1 else "RGB", (width, height))

    def __setitem__(self, where: tuple[slice, slice], part: np.ndarray) -> None:
        """Puts ``[h, w, 1 or 3]`` to those rows and columns."""
        if part.size:
            part = part[..., 0] if part.shape[-1] == 1 else part
            self.image.paste(
                Image.fromarray(np.ascontiguousarray(part)), (where[1].start, where[0].start)
            )
