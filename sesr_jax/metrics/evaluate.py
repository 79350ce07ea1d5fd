"""Measuring an upscaler on a set of pictures, one picture in memory at a time.

An upscaler is any callable from float32 ``[h, w, C]`` to ``[scale · h, scale · w, C]``, NumPy or JAX,
for the C that the protocol's domain has: 1 for luma, 3 for RGB. A luma network is measured in the
protocol `Y` as it is; for an RGB protocol, wrap it so that it takes and returns RGB.

    scores = list(evaluate(bicubic(2), source("Set5", scale=2), 2, Y))
    mean(scores)["psnr"]
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from sesr_jax.data.resize import imresize
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.metrics.protocol import Protocol

Upscaler = Callable[[np.ndarray], npt.ArrayLike]


def bicubic(scale: int) -> Upscaler:
    """The baseline of every table: MATLAB's bicubic `imresize`, float64 ``[scale · h, scale · w, C]``."""
    return lambda image: imresize(image, scale)


def evaluate(
    upscaler: Upscaler, pictures: Iterable[ImagePair], scale: int, protocol: Protocol
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields each picture's name and its scores, ``{"psnr": dB, "ssim": …}``, as they are made.

    Raises:
        InputError: a picture doesn't suit the scale, or the upscaler the protocol; it names the picture.
    """
    for picture in pictures:
        try:
            low, reference = protocol.pair(picture, scale)
            scores = protocol.score(upscaler(low), reference, scale)
        except InputError as error:
            raise InputError(f"{picture.name}: {error}") from error
        yield picture.name, scores


def drop(before: float, after: float) -> float:
    """By how many dB the PSNR `after` is below that of `before`; none between two exact copies."""
    return 0.0 if before == after else before - after


def mean(scores: Iterable[tuple[str, Mapping[str, float]]]) -> dict[str, float]:
    """The mean of each score over the pictures, as the papers give it for a set.

    Raises:
        InputError: there is no picture.
    """
    values = [score for _, score in scores]
    if not values:
        raise InputError("there are no scores to average; evaluate at least one picture")
    return {key: math.fsum(value[key] for value in values) / len(values) for key in values[0]}
