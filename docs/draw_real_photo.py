"""Draws docs/real_photo_x4.png: a degraded photo, upscaled by bicubic interpolation and by a network.

The photo is one of scikit-image that the network was not trained on, degraded as by `sesr degrade`.

python docs/draw_real_photo.py
"""

import pathlib

import numpy as np

from sesr_jax.data import open_embedded, write_image
from sesr_jax.data.degradation import degrade_photo
from sesr_jax.upscale import bicubic_upscaler, load_upscaler, upscale_photo

_MODEL = "sesr_m11_real_x4"
_SCALE, _SEED = 4, 3
_PHOTO = 1  # of embedded:eval
_WINDOW = slice(40, 240), slice(100, 380)
_GAP = 6


def draw() -> np.ndarray:
    """Returns the three images side by side, uint8 ``[h, w, 3]``: bicubic, the network, the original."""
    photo = open_embedded("eval")[_PHOTO].hr
    low = degrade_photo(_SEED, photo, scale=_SCALE)
    upscaled = [
        upscale_photo(upscaler, low)[_WINDOW]
        for upscaler in (bicubic_upscaler(_SCALE), load_upscaler(_MODEL))
    ]
    gap = np.full((_WINDOW[0].stop - _WINDOW[0].start, _GAP, 3), 255, np.uint8)
    return np.concatenate([upscaled[0], gap, upscaled[1], gap, photo[_WINDOW]], axis=1)


if __name__ == "__main__":
    write_image(pathlib.Path(__file__).with_name("real_photo_x4.png"), draw())
