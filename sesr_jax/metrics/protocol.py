"""The protocols by which the field measures PSNR and SSIM, as named values.

A protocol says what an upscaler reads and writes, how its low resolution is made, what is compared
and how much border is cut. In all protocols the high resolution is an 8-bit image that is cropped to a
multiple of the scale, and the upscaler's output is clipped to [0, 1] and rounded to 8 bits before it is
compared. Two rules change figures by up to 0.1 dB on Set14:

* The grey rule. `Y` takes a grey file (Set14's ``bridge``) as luma. `RGB8` and `RGB` repeat it to
  R = G = B, whose luma has 219/255 of the contrast, which gives 1.3 dB more on that image.
* The low resolution. `Y` makes it from luma in float: luma first, then bicubic, without rounding. The low
  resolutions that a set holds are RGB rounded to 8 bits, so `Y` ignores them; `RGB8` and `RGB` use them,
  or make the same.

    low, reference = Y.pair(image, scale=2)
    Y.score(upscaler(low), reference, scale=2)["psnr"]
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from sesr_jax.data.colour import grey_to_rgb, rgb_to_y
from sesr_jax.data.resize import make_low_resolution, modcrop
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError, look_up
from sesr_jax.metrics.quality import WINDOW, psnr, ssim


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an upscaler is measured.

    Attributes:
        name: the name in configs and tables.
        domain: what the upscaler reads and writes, luma ``[h, w, 1]`` or RGB ``[h, w, 3]``. In the
            domain "y" the low resolution is float, in "rgb" it is 8 bits.
        channel: what is compared; the domain "y" has luma alone.
        grey: whether a grey file is "luma" or R = G = B ("rgb"); the domain "rgb" needs the latter.
        shave: the pixels that are cut from each side before the comparison; "scale" stands for the scale
            factor.

    Raises:
        InputError: the values contradict each other.
    """

    name: str
    domain: Literal["y", "rgb"]
    channel: Literal["y", "rgb"]
    grey: Literal["luma", "rgb"] = "rgb"
    shave: int | Literal["scale"] = "scale"

    def __post_init__(self) -> None:
        if self.domain == "y" and self.channel == "rgb":
            raise InputError(
                f'the protocol {self.name} has the channel "rgb": in the domain "y" it must be "y".'
            )
        if self.domain == "rgb" and self.grey == "luma":
            raise InputError(
                f'the protocol {self.name} has grey="luma": in the domain "rgb" it must be "rgb".'
            )

    def pair(self, image: ImagePair, scale: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the upscaler's input, float32 ``[h, w, C]``, and the reference, float64 ``[H, W, C]``.

        C is 1 in the domain "y" and 3 in "rgb"; H = scale · h and W = scale · w. Values lie in [0, 1], except
        where the bicubic kernel overshoots in float.

        Raises:
            InputError: the image is smaller than the scale, or its low resolution has another scale.
        """
        hr = modcrop(image.hr, scale)
        if self.domain == "rgb":
            lr = grey_to_rgb(image.get_low_resolution(scale)) / np.float32(255)
            return lr, grey_to_rgb(hr) / 255
        if hr.ndim == 2 and self.grey == "luma":
            reference = hr[..., None] / 255
        else:
            reference = _round(rgb_to_y(grey_to_rgb(hr) / 255))
        return make_low_resolution(reference, scale).astype(np.float32), reference

    def check_size(self, name: str, size: Sequence[int], scale: int) -> None:
        """Checks that an image `name` of `size` (height, width) is large enough to be scored.

        Raises:
            InputError: fewer than 11×11 pixels are left inside the border.
        """
        left = min(n - n % scale for n in size) - 2 * self._get_border(scale)
        if left < WINDOW:
            raise InputError(
                f"{name} of {size[1]}×{size[0]} pixels has sides of {left} inside the border: SSIM needs "
                f"{WINDOW} or more."
            )

    def _get_border(self, scale: int) -> int:
        return scale if self.shave == "scale" else self.shave

    def score(self, output: npt.ArrayLike, reference: np.ndarray, scale: int) -> dict[str, float]:
        """Returns PSNR in dB ("psnr") and SSIM ("ssim") of an upscaler's `output`, both ``[H, W, C]``.

        Raises:
            InputError: the shapes differ, or fewer than 11×11 pixels are left inside the border.
        """
        output = np.asarray(output, np.float64)
        if output.shape != reference.shape:
            raise InputError(
                f"the output for scale {scale} has shape {output.shape}: it must be {reference.shape} in the "
                f"protocol {self.name}."
            )
        compared = [_round(np.clip(output, 0, 1)), reference]
        if self.channel != self.domain:
            compared = [rgb_to_y(each) for each in compared]
        border = self._get_border(scale)
        sr, hr = (
            each[border : each.shape[0] - border, border : each.shape[1] - border]
            for each in compared
        )
        return {"psnr": psnr(sr, hr), "ssim": ssim(sr, hr)}


Y = Protocol(name="y", domain="y", channel="y", grey="luma")
"""The protocol of SRCNN and of most papers since: 8-bit luma first, as MATLAB's `rgb2ycbcr` rounds it."""

RGB8 = Protocol(name="rgb8", domain="rgb", channel="y")
"""Images are reduced and upscaled as 8-bit RGB, and their (unrounded) luma is compared."""

RGB = Protocol(name="rgb", domain="rgb", channel="rgb")
"""Images are reduced and upscaled as 8-bit RGB, and compared over R, G and B."""

MOBILE_AI = Protocol(name="mobile_ai", domain="rgb", channel="rgb", shave=1)
"""The protocol of the Mobile AI challenges' best teams: like `RGB`, with one pixel of border cut."""

PROTOCOLS = {protocol.name: protocol for protocol in (Y, RGB8, RGB, MOBILE_AI)}
"""The protocols by name."""


def choose_protocol(channels: int) -> Protocol:
    """Returns the protocol that compares what a network of `channels` writes: `Y` for luma, `RGB` for RGB."""
    return Y if channels == 1 else RGB


def find_protocol(name: str) -> Protocol:
    """Returns the protocol called `name`.

    Raises:
        InputError: there is no such protocol.
    """
    return look_up("protocol", name, PROTOCOLS)


def _round(image: np.ndarray) -> np.ndarray:
    """Rounds to multiples of 1/255, halves up."""
    return np.floor(image * 255 + 0.5) / 255
