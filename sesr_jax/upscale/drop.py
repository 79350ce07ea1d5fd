"""What a file costs in quality: its PSNR against that of the float network that it was made from."""

import dataclasses
import os
from collections.abc import Sequence

from sesr_jax.data import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.metrics import drop, evaluate, mean, native_protocol
from sesr_jax.models.network import Network
from sesr_jax.quant import RANGES
from sesr_jax.upscale.tflite_upscaler import from_tflite
from sesr_jax.upscale.upscaler import Upscaler, from_network, in_domain


def quality_drop(
    network: Network, path: str | os.PathLike[str], pictures: Sequence[ImagePair]
) -> float:
    """The mean PSNR of `network` in float, less that of the TFLite file `path`, in dB.

    Measured in the network's own protocol (`metrics.native_protocol`).

    Raises:
      InputError: as `from_tflite` and `evaluate`.
    """
    variables = {key: value for key, value in network.variables.items() if key != RANGES}
    protocol = native_protocol(network.channels)

    def psnr(upscaler: Upscaler) -> float:
        function = in_domain(upscaler, protocol.domain)
        return mean(evaluate(function, pictures, upscaler.scale, protocol))["psnr"]

    written = psnr(from_tflite(path))
    return drop(psnr(from_network(dataclasses.replace(network, variables=variables))), written)


def check_drop(
    network: Network, path: str | os.PathLike[str], pictures: Sequence[ImagePair], bound: float
) -> float:
    """`quality_drop`, which must not be more than `bound`.

    Raises:
      InputError: it is.
    """
    lost = quality_drop(network, path, pictures)
    if not lost <= bound:
        raise InputError(
            f"the file loses {lost:.3f} dB of PSNR on {len(pictures)} images, more than the allowed "
            f"{bound:g} dB; calibrate on images like them, train with quantisation, or exclude the layer "
            "that suffers."
        )
    return lost
