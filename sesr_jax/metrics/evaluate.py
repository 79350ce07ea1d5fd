"""Measures an upscaler or a network on a set of images, of which one at a time is in memory.

An upscaler is any callable from float32 ``[h, w, C]`` to ``[scale · h, scale · w, C]``, NumPy or JAX,
where C is that of the protocol's domain: 1 for luma, 3 for RGB. The protocol `Y` measures a luma network
directly; for an RGB protocol, wrap the network so that it takes and returns RGB.

    scores = list(evaluate(bicubic(2), open_source("Set5", scale=2), 2, Y))
    mean(scores)["psnr"]
    NetworkEvaluator(network, open_source("Set5", scale=2))(network.variables)["psnr"]

Training, ablations, the command line and pages all measure with `evaluate`.
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
from sesr_jax.graph import SAMPLE_SIDE, measure_extent
from sesr_jax.metrics.niqe import NiqeModel, niqe
from sesr_jax.metrics.protocol import Protocol, choose_protocol
from sesr_jax.models.network import Network

_TRACED = 240
"""The side in pixels of the image that networks are traced on, a multiple of all usual strides and blocks."""

UpscaleFunction = Callable[[np.ndarray], npt.ArrayLike]


def bicubic(scale: int) -> UpscaleFunction:
    """Returns the baseline of every table: MATLAB's bicubic `imresize`, in float64."""
    return lambda image: imresize(image, scale)


def evaluate(
    upscaler: UpscaleFunction,
    images: Iterable[ImagePair],
    scale: int,
    protocol: Protocol,
    niqe_model: NiqeModel | None = None,
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields each image's name and its scores, ``{"psnr": dB, "ssim": …}``, one image after the other.

    With a `niqe_model`, "niqe" is among the scores: that of the whole output, as codes of RGB.

    Raises:
        InputError: an image doesn't suit the scale or NIQE, or the upscaler doesn't suit the protocol; the
            message names the image. NIQE is asked for in a protocol of luma.
    """
    if niqe_model is not None and protocol.domain != "rgb":
        raise InputError(f"the protocol {protocol.name} upscales luma: NIQE needs one of RGB.")
    for image in images:
        try:
            low, reference = protocol.pair(image, scale)
            output = upscaler(low)
            scores = protocol.score(output, reference, scale)
            if niqe_model is not None:
                codes = np.rint(255 * np.clip(output, 0, 1)).astype(np.uint8)
                scores["niqe"] = niqe(codes, niqe_model)
        except InputError as error:
            raise InputError(f"{image.name}: {error}") from error
        yield image.name, scores


class NetworkEvaluator:
    """Measures variables of a network: their mean PSNR and SSIM.

    It compiles once per image size and structure of variables, and measures any variables that the network's
    module takes, collapsed or not.
    """

    def __init__(
        self,
        network: Network,
        images: Iterable[ImagePair],
        scheme: quant.Scheme | None = None,
        protocol: Protocol | None = None,
    ) -> None:
        """Prepares the evaluation on `images`.

        Args:
            network: its module is run; its variables are traced to find which sides of images it takes.
            images: pairs of the network's scale.
            scheme: what is quantised where the variables have ranges; by default the network's scheme.
            protocol: one of the network's channels; by default `choose_protocol`'s.
        """
        self._images, self._scale = images, network.scale
        self.protocol = protocol or choose_protocol(network.channels)
        self._align = measure_extent(
            network.trace((1, SAMPLE_SIDE, SAMPLE_SIDE, network.channels))
        ).align
        module, chosen = network.module, scheme or network.scheme

        @jax.jit
        def upscale(variables: Any, x: jax.Array) -> jax.Array:
            return quant.apply(module, variables, x[None], chosen)[0]

        self._upscale = upscale

    def __call__(self, variables: Any) -> dict[str, float]:
        """Collapses `variables`, and returns the mean of each score over the images.

        Images whose sides the network cannot take are padded with their border pixels, and the output is
        cropped again.

        Raises:
            InputError: see `evaluate`.
        """
        deployed = reparam.collapse(variables)

        def upscaler(x: np.ndarray) -> jax.Array:
            height, width = x.shape[:2]
            sides = (0, -height % self._align), (0, -width % self._align), (0, 0)
            upscaled = self._upscale(deployed, np.pad(x, sides, "edge"))
            return upscaled[: self._scale * height, : self._scale * width]

        return mean(evaluate(upscaler, self._images, self._scale, self.protocol))


def drop(before: float, after: float) -> float:
    """Returns by how many dB the PSNR `after` is below `before`; 0 where both are equal, even infinite."""
    return 0.0 if before == after else before - after


def mean(scores: Iterable[tuple[str, Mapping[str, float]]]) -> dict[str, float]:
    """Returns the mean of each score over the images, as papers print it for a data set.

    Raises:
        InputError: there is no image.
    """
    values = [score for _, score in scores]
    if not values:
        raise InputError("0 images were evaluated: a mean needs at least one.")
    return {key: math.fsum(value[key] for value in values) / len(values) for key in values[0]}
