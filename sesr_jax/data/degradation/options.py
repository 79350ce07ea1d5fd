"""The options of Real-ESRGAN's degradations, by the names of its own option files."""

import dataclasses
from collections.abc import Sequence

from sesr_jax.errors import InputError

KERNELS = (
    "iso",
    "aniso",
    "generalized_iso",
    "generalized_aniso",
    "plateau_iso",
    "plateau_aniso",
)
"""The kinds of blur kernels beside the sinc, in the order of `Degradation.kernel_prob`."""

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Degradation:
    """What is drawn for each image; the defaults are those of RealESRGAN_x4plus.

    Names that end in 2 are of the second order. Each is blurred, resized, made noisy and compressed.

    Attributes:
      kernel_prob: the probabilities of `KERNELS`.
      sinc_prob: the probability of a sinc kernel in their place.
      blur_sigma: the deviations of kernels in pixels.
      betag_range: the shapes of generalised kernels; below and above 1 are equally likely.
      betap_range: the shapes of plateau kernels, likewise.
      resize_prob: the probabilities of growing, shrinking and keeping.
      resize_range: the smallest and the largest scale factor; shrinking draws below 1, growing above.
      gaussian_noise_prob: the probability of Gaussian noise; it is Poisson noise else.
      noise_range: the deviation of Gaussian noise, in codes of 255.
      poisson_scale_range: the factor of Poisson noise.
      gray_noise_prob: the probability that noise is the same in all channels.
      jpeg_range: the quality of the compression, from 1 to 100.
      second_blur_prob: the probability of a second blur.
      kernel_prob2: see `kernel_prob`.
      sinc_prob2: see `sinc_prob`.
      blur_sigma2: see `blur_sigma`.
      betag_range2: see `betag_range`.
      betap_range2: see `betap_range`.
      resize_prob2: see `resize_prob`.
      resize_range2: see `resize_range`; relative to the final size.
      gaussian_noise_prob2: see `gaussian_noise_prob`.
      noise_range2: see `noise_range`.
      poisson_scale_range2: see `poisson_scale_range`.
      gray_noise_prob2: see `gray_noise_prob`.
      jpeg_range2: see `jpeg_range`.
      final_sinc_prob: the probability of a sinc kernel at the end, before or after the last compression.

    Raises:
      InputError: a range is upside down or leaves what is possible, or probabilities are none.
    """

    kernel_prob: Sequence[float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sinc_prob: float = 0.1
    blur_sigma: Range = (0.2, 3.0)
    betag_range: Range = (0.5, 4.0)
    betap_range: Range = (1.0, 2.0)
    resize_prob: Sequence[float] = (0.2, 0.7, 0.1)
    resize_range: Range = (0.15, 1.5)
    gaussian_noise_prob: float = 0.5
    noise_range: Range = (1.0, 30.0)
    poisson_scale_range: Range = (0.05, 3.0)
    gray_noise_prob: float = 0.4
    jpeg_range: Range = (30.0, 95.0)
    second_blur_prob: float = 0.8
    kernel_prob2: Sequence[float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sinc_prob2: float = 0.1
    blur_sigma2: Range = (0.2, 1.5)
    betag_range2: Range = (0.5, 4.0)
    betap_range2: Range = (1.0, 2.0)
    resize_prob2: Sequence[float] = (0.3, 0.4, 0.3)
    resize_range2: Range = (0.3, 1.2)
    gaussian_noise_prob2: float = 0.5
    noise_range2: Range = (1.0, 25.0)
    poisson_scale_range2: Range = (0.05, 2.5)
    gray_noise_prob2: float = 0.4
    jpeg_range2: Range = (30.0, 95.0)
    final_sinc_prob: float = 0.8

    def __post_init__(self) -> None:
        limits = {
            "blur_sigma": (1e-3, 100.0),
            "betag_range": (1e-3, 100.0),
            "betap_range": (1e-3, 100.0),
            "resize_range": (0.01, 4.0),
            "noise_range": (0.0, 255.0),
            "poisson_scale_range": (0.0, 100.0),
            "jpeg_range": (1.0, 100.0),
        }
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            key = field.name.removesuffix("2")
            if key in limits:
                _check_range(field.name, value, *limits[key])
            elif isinstance(value, Sequence):
                _check_probabilities(field.name, value, len(KERNELS) if "kernel" in key else 3)
            elif not 0 <= value <= 1:
                raise InputError(f"{field.name} is {value}: a probability lies in [0, 1].")


def _check_range(name: str, value: Sequence[float], low: float, high: float) -> None:
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise InputError(
            f"{name} is {tuple(value)}: it must be the smaller and the larger of two numbers from {low:g} to "
            f"{high:g}."
        )
    if name.startswith("resize") and not value[0] <= 1 <= value[1]:
        raise InputError(f"{name} is {tuple(value)}: 1 must lie between the two.")


def _check_probabilities(name: str, value: Sequence[float], count: int) -> None:
    if len(value) != count or min(value) < 0 or abs(sum(value) - 1) > 0.011:
        raise InputError(
            f"{name} is {tuple(value)}: it must be {count} probabilities whose sum is 1."
        )
