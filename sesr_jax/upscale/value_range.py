"""Files of others whose float images go from 0 to 255, and not from 0 to 1.

    upscaler = with_range(from_onnx("foreign.onnx"), 255)

Neither .tflite nor .onnx files say which range their pixels have, and the wrong one gives garbage.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.export.litert import Quantisation
from sesr_jax.upscale.upscaler import Upscaler

RANGES = (1, 255)
"""The values of white that are in use."""

_SIDE = 24  # pixels of the image that is tried, where the file takes any size
_NEAR = 0.1
"""How far an upscaled image may be from the repeated pixels of its input on average, for white at 1."""


def with_range(upscaler: Upscaler, white: int) -> Upscaler:
    """Returns `upscaler` for images from 0 to 1, where its own go from 0 to `white`."""
    if white == 1:
        return upscaler

    def change(function: Callable[[Any], Any]) -> Callable[[Any], np.ndarray]:
        return lambda x: np.asarray(function(np.asarray(x) * np.float32(white))) / np.float32(white)

    fingerprint, concurrent = upscaler.fingerprint, upscaler.concurrent
    return dataclasses.replace(
        upscaler,
        function=change(upscaler.function),
        concurrent=concurrent and change(concurrent),
        fingerprint=fingerprint and (lambda: f"{fingerprint()}, white at {white}"),
    )


def check_codes(codes: Quantisation, path: str | os.PathLike[str], side: str) -> None:
    """Checks that the codes of a file's images stand for values from 0 to 1.

    Args:
      codes: what they stand for.
      path: the file.
      side: whose codes they are: "input" or "output".

    Raises:
      InputError: they do not.
    """
    if not codes.are_pixels:
        low, high = codes.limits
        raise InputError(
            f"{os.fspath(path)} has codes for an {side} from {low:g} to {high:g}, where images go from 0 to "
            "1; export it with such a range, or in float."
        )


def check_range(upscaler: Upscaler, spec: str, white: int) -> None:
    """Tries a smooth image whose white is `white`.

    Raises:
      InputError: `spec` makes no such image of it, and makes one of pixels in another range.
    """
    if _makes_an_image(with_range(upscaler, white)):
        return
    for other in RANGES:
        if other != white and _makes_an_image(with_range(upscaler, other)):
            raise InputError(
                f"{spec} makes an image of pixels from 0 to {other}, and none of pixels from 0 to {white}: "
                f"give --range {other}."
            )


def _makes_an_image(upscaler: Upscaler) -> bool:
    """Returns whether a smooth image, upscaled, is near to its own repeated pixels."""
    height, width = (
        upscaler.tile or (-(-_SIDE // upscaler.extent.align) * upscaler.extent.align,) * 2
    )
    y, x = np.mgrid[:height, :width] / _SIDE
    wave = (0.5 + 0.15 * np.sin(np.pi * x) + 0.15 * np.cos(np.pi * y)).astype(np.float32)
    image = np.repeat(wave[None, :, :, None], upscaler.channels, axis=-1)
    large = image.repeat(upscaler.scale, axis=1).repeat(upscaler.scale, axis=2)
    return bool(np.abs(np.asarray(upscaler.function(image)) - large).mean() < _NEAR)
