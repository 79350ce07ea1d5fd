"""Measuring the PSNR that a TFLite file loses against the float network that it was exported from."""

import os
from collections.abc import Sequence

from sesr_jax.data import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.metrics import choose_protocol, drop, evaluate, mean
from sesr_jax.models.network import Network
from sesr_jax.upscale.tflite_upscaler import from_tflite
from sesr_jax.upscale.upscaler import Upscaler, from_network, in_domain


def measure_drop(
    network: Network, path: str | os.PathLike[str], images: Sequence[ImagePair]
) -> float:
    """Returns the mean PSNR of `network` in float minus that of the TFLite file `path`, in dB.

    Both are measured in the network's own protocol (`metrics.choose_protocol`).

    Raises:
      InputError: as `from_tflite` and `evaluate`.
    """
    protocol = choose_protocol(network.channels)

    def psnr(upscaler: Upscaler) -> float:
        function = in_domain(upscaler, protocol.domain)
        return mean(evaluate(function, images, upscaler.scale, protocol))["psnr"]

    of_file = psnr(from_tflite(path))
    return drop(psnr(from_network(network.without_ranges())), of_file)


def check_drop(
    network: Network, path: str | os.PathLike[str], images: Sequence[ImagePair], bound: float
) -> float:
    """Returns `measure_drop`, which must be at most `bound`.

    Raises:
      InputError: the drop is larger; or as `measure_drop`.
    """
    lost = measure_drop(network, path, images)
    if not lost <= bound:
        raise InputError(
            f"the file loses {lost:.3f} dB of PSNR on {len(images)} images, more than the allowed "
            f"{bound:g} dB; calibrate on images like them, train with quantisation, or exclude the layer "
            "that loses most."
        )
    return lost
