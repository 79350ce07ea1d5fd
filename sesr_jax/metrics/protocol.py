"""The protocols under which the field's PSNR and SSIM figures are made, as named values.

A protocol says what an upscaler reads and writes, how its low resolution is made, what is compared
and how much border is cut. In all of them the high resolution is an 8-bit image cropped to a multiple
of the scale, and the upscaler's output is clipped to [0, 1] and rounded to 8 bits before it is
compared. Two things move figures by up to 0.1 dB on Set14, hence they are stated here:

* The grey rule. `Y` takes a grey file (Set14's ``bridge``) as the luma that it is. `RGB8` and `RGB`
  replicate it to R = G = B, whose luma has 219/255 of the contrast: 1.3 dB more on that image.
* The low resolution. `Y` makes it from luma, in float: luma first, then bicubic, no rounding. What a
  set ships is RGB rounded to 8 bits, so `Y` leaves it aside; `RGB8` and `RGB` use it, or make the same.

    low, reference = Y.pair(image, scale=2)
    Y.score(upscaler(low), reference, scale=2)["psnr"]
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from sesr_jax.data.colour import grey_to_rgb, rgb_to_y
from sesr_jax.data.resize import low_resolution, modcrop
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError, look_up
from sesr_jax.metrics.quality import WINDOW, psnr, ssim


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an upscaler is measured.

    Attributes:
        name: how a config or a table names it.
        domain: what the upscaler reads and writes, luma ``[h, w, 1]`` or RGB ``[h, w, 3]``. In the
            domain "y" the low resolution is float, in "rgb" it is 8 bits.
        channel: what is compared; the domain "y" has luma alone.
        grey: what a grey file is, "luma" itself or R = G = B ("rgb"); the domain "rgb" needs the latter.
        shave: pixels cut from each side before comparing; "scale" is as many as the scale.

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
                f'protocol {self.name}: domain "y" holds no RGB; compare the channel "y"'
            )
        if self.domain == "rgb" and self.grey == "luma":
            raise InputError(
                f'protocol {self.name}: domain "rgb" holds no bare luma; set grey="rgb"'
            )

    def pair(self, image: ImagePair, scale: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the upscaler's input, float32 ``[h, w, C]``, and the reference, float64 ``[H, W, C]``.

        C is 1 in the domain "y" and 3 in "rgb"; H = scale · h, W = scale · w; values in [0, 1], but for
        the overshoot of a bicubic kernel that nothing rounds.

        Raises:
            InputError: the image is smaller than the scale, or ships low resolutions of another.
        """
        hr = modcrop(image.hr, scale)
        if self.domain == "rgb":
            lr = grey_to_rgb(image.low_resolution(scale)) / np.float32(255)
            return lr, grey_to_rgb(hr) / 255
        if hr.ndim == 2 and self.grey == "luma":
            reference = hr[..., None] / 255
        else:
            reference = _round(rgb_to_y(grey_to_rgb(hr) / 255))
        return low_resolution(reference, scale).astype(np.float32), reference

    def check_size(self, name: str, size: Sequence[int], scale: int) -> None:
        """Checks that an image `name` of `size` (height, width) has pixels enough to be scored.

        Raises:
            InputError: fewer than 11×11 are left inside the border.
        """
        left = min(n - n % scale for n in size) - 2 * self._border(scale)
        if left < WINDOW:
            raise InputError(
                f"{name} of {size[1]}×{size[0]} pixels has sides of {left} inside the border, where SSIM "
                f"takes {WINDOW} or more; remove it from the images that are measured."
            )

    def _border(self, scale: int) -> int:
        return scale if self.shave == "scale" else self.shave

    def score(self, output: npt.ArrayLike, reference: np.ndarray, scale: int) -> dict[str, float]:
        """Returns PSNR in dB ("psnr") and SSIM ("ssim") of an upscaler's `output`, both ``[H, W, C]``.

        Raises:
            InputError: the shapes differ, or fewer than 11×11 pixels are left inside the border.
        """
        output = np.asarray(output, np.float64)
        if output.shape != reference.shape:
            raise InputError(
                f"an output of shape {output.shape} must be {reference.shape} in protocol {self.name}; "
                f"give an upscaler for scale {scale} and {reference.shape[-1]} channels"
            )
        compared = [_round(np.clip(output, 0, 1)), reference]
        if self.channel != self.domain:
            compared = [rgb_to_y(each) for each in compared]
        border = self._border(scale)
        sr, hr = (
            each[border : each.shape[0] - border, border : each.shape[1] - border]
            for each in compared
        )
        return {"psnr": psnr(sr, hr), "ssim": ssim(sr, hr)}


Y = Protocol(name="y", domain="y", channel="y", grey="luma")
"""SRCNN's and most papers' since: 8-bit luma first, as MATLAB's `rgb2ycbcr` rounds it."""

RGB8 = Protocol(name="rgb8", domain="rgb", channel="y")
"""8-bit RGB down and up, then the (unrounded) luma of both."""

RGB = Protocol(name="rgb", domain="rgb", channel="rgb")
"""8-bit RGB down and up, compared over R, G and B."""

MOBILE_AI = Protocol(name="mobile_ai", domain="rgb", channel="rgb", shave=1)
"""That of the Mobile AI challenges' best teams: as `RGB`, but one pixel of border is cut."""

PROTOCOLS = {protocol.name: protocol for protocol in (Y, RGB8, RGB, MOBILE_AI)}
"""The named protocols."""


def native_protocol(channels: int) -> Protocol:
    """Returns what measures a network of `channels` on what it writes: `Y` for luma, `RGB` for RGB."""
    return Y if channels == 1 else RGB


def find_protocol(name: str) -> Protocol:
    """Returns the protocol called `name`.

    Raises:
        InputError: there is none.
    """
    return look_up("protocol", name, PROTOCOLS)


def _round(image: np.ndarray) -> np.ndarray:
    """Rounds to multiples of 1/255, halves up."""
    return np.floor(image * 255 + 0.5) / 255
