"""The evaluator: measures an upscaler, or a network, on a set of images, one in memory at a time.

An upscaler is any callable from float32 ``[h, w, C]`` to ``[scale · h, scale · w, C]``, NumPy or JAX,
for the C that the protocol's domain has: 1 for luma, 3 for RGB. A luma network is measured in the
protocol `Y` as it is; for an RGB protocol, wrap it so that it takes and returns RGB.

    scores = list(evaluate(bicubic(2), source("Set5", scale=2), 2, Y))
    mean(scores)["psnr"]
    NetworkEvaluator(network, source("Set5", scale=2))(network.variables)["psnr"]

Training, ablations, the command line and pages all measure by `evaluate`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from sesr_jax import quant, reparam
from sesr_jax.data.resize import imresize
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.graph import extent
from sesr_jax.metrics.protocol import Protocol, native_protocol
from sesr_jax.models.network import Network

_TRACED = 240
"""Pixels; a multiple of every stride and block in use."""

UpscaleFunction = Callable[[np.ndarray], npt.ArrayLike]


def bicubic(scale: int) -> UpscaleFunction:
    """Returns the baseline of every table: MATLAB's bicubic `imresize`, in float64."""
    return lambda image: imresize(image, scale)


def evaluate(
    upscaler: UpscaleFunction, images: Iterable[ImagePair], scale: int, protocol: Protocol
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields each image's name and its scores, ``{"psnr": dB, "ssim": …}``, as they are made.

    Raises:
        InputError: an image doesn't suit the scale, or the upscaler the protocol; it names the image.
    """
    for image in images:
        try:
            low, reference = protocol.pair(image, scale)
            scores = protocol.score(upscaler(low), reference, scale)
        except InputError as error:
            raise InputError(f"{image.name}: {error}") from error
        yield image.name, scores


class NetworkEvaluator:
    """Measures a network by its variables: mean PSNR and SSIM, in the network's own protocol.

    It is compiled once for each image size and kind of variables, and serves every set of variables that the
    network's module takes, collapsed or not.
    """

    def __init__(
        self, network: Network, images: Iterable[ImagePair], scheme: quant.Scheme | None = None
    ) -> None:
        """Takes the images that are measured.

        Args:
            network: whose module is run; its variables show how far it looks.
            images: pairs of the network's scale.
            scheme: what is quantised where the variables have ranges; the network's where none is given.
        """
        self._images, self._scale = images, network.scale
        self.protocol = native_protocol(network.channels)
        self._align = extent(network.graph((1, _TRACED, _TRACED, network.channels))).align
        module, chosen = network.module, scheme or network.scheme

        @jax.jit
        def upscale(variables: Any, x: jax.Array) -> jax.Array:
            return quant.apply(module, variables, x[None], chosen)[0]

        self._upscale = upscale

    def __call__(self, variables: Any) -> dict[str, float]:
        """Returns the mean of each score over the images, for the network with these variables, collapsed.

        Images whose sides the network cannot take are extended by their last pixels, and cut off again.

        Raises:
            InputError: as `evaluate`.
        """
        deployed = reparam.collapse(variables)

        def upscaler(x: np.ndarray) -> jax.Array:
            height, width = x.shape[:2]
            sides = (0, -height % self._align), (0, -width % self._align), (0, 0)
            upscaled = self._upscale(deployed, np.pad(x, sides, "edge"))
            return upscaled[: self._scale * height, : self._scale * width]

        return mean(evaluate(upscaler, self._images, self._scale, self.protocol))


def drop(before: float, after: float) -> float:
    """Returns by how many dB the PSNR `after` is below that of `before`; none between two exact copies."""
    return 0.0 if before == after else before - after


def mean(scores: Iterable[tuple[str, Mapping[str, float]]]) -> dict[str, float]:
    """Returns the mean of each score over the images, as the papers give it for a set.

    Raises:
        InputError: there is no image.
    """
    values = [score for _, score in scores]
    if not values:
        raise InputError("there are no scores to average; evaluate at least one image")
    return {key: math.fsum(value[key] for value in values) / len(values) for key in values[0]}
