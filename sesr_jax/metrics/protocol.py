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
import math
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from sesr_jax.data.colour import grey_to_rgb, rgb_to_y
from sesr_jax.data.degradation import degrade_photo
from sesr_jax.data.resize import imresize, modcrop
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError, look_up
from sesr_jax.metrics.quality import WINDOW, map_ssim, psnr, ssim

_WHOLE, _BAND = 2**23, 2**20
"""The most samples of an image that is compared at once, and those of a band of a larger one. DIV2K's are
compared at once. SSIM holds a dozen arrays of as many float64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an upscaler is measured.

    Attributes:
        name: the name in configs and tables.
        domain: what the upscaler reads and writes, luma ``[h, w, 1]`` or RGB ``[h, w, 3]``. In the
            domain "y" the low resolution is float, in "rgb" it is 8 bits.
        channel: what is compared; the domain "y" has luma alone.
        grey: whether a grey file is "luma" or R = G = B ("rgb"); the domain "rgb" needs the latter.
        low: how the low resolution is made: "bicubic", or, in the domain "rgb", "degraded" as by
            `degrade_photo`, by a seed that depends on the image's name alone.
        shave: the pixels that are cut from each side before the comparison; "scale" stands for the scale
            factor.

    Raises:
        InputError: the values contradict each other.
    """

    name: str
    domain: Literal["y", "rgb"]
    channel: Literal["y", "rgb"]
    grey: Literal["luma", "rgb"] = "rgb"
    low: Literal["bicubic", "degraded"] = "bicubic"
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
        if self.domain == "y" and self.low == "degraded":
            raise InputError(
                f'the protocol {self.name} has low="degraded": in the domain "y" it must be "bicubic".'
            )

    def pair(self, image: ImagePair, scale: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the upscaler's input, float32 ``[h, w, C]``, and the reference, uint8 ``[H, W, C]``.

        C is 1 in the domain "y" and 3 in "rgb"; H = scale · h and W = scale · w. The input's values lie in
        [0, 1], except where the bicubic kernel overshoots in float.

        Raises:
            InputError: the image is smaller than the scale, or its low resolution has another scale.
        """
        hr = modcrop(image.hr, scale)
        if self.domain == "rgb":
            if self.low == "degraded":
                seed = zlib.crc32(image.name.encode())
                lr = degrade_photo(seed, grey_to_rgb(hr), scale=scale)
            else:
                lr = grey_to_rgb(image.get_low_resolution(scale))
            return lr / np.float32(255), grey_to_rgb(hr)
        if hr.ndim == 2 and self.grey == "luma":
            reference = hr[..., None]
        else:
            reference = np.empty((*hr.shape[:2], 1), np.uint8)
            for rows in _list_bands(hr.shape):
                reference[rows] = _round(rgb_to_y(grey_to_rgb(hr[rows]) / 255))
        low = imresize(reference, Fraction(1, scale), peak=255)
        return low.astype(np.float32), reference

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

        Large images are compared band by band.

        Args:
            output: floats, of which 1 stands for the code 255.
            reference: that of `pair`, or such floats.
            scale: the scale factor.

        Raises:
            InputError: the shapes differ, or fewer than 11×11 pixels are left inside the border.
        """
        output = np.asarray(output)
        if output.shape != reference.shape:
            raise InputError(
                f"the output for scale {scale} has shape {output.shape}: it must be {reference.shape} in the "
                f"protocol {self.name}."
            )
        border = self._get_border(scale)
        sr, hr = (
            each[border : each.shape[0] - border, border : each.shape[1] - border]
            for each in (output, reference)
        )
        if sr.size <= _WHOLE:
            a, b = self._prepare(sr, hr)
            return {"psnr": psnr(a, b), "ssim": ssim(a, b)}
        squares, similarities = [], []
        for rows in _list_bands(sr.shape):
            # The window of SSIM reaches into the next band.
            more = slice(rows.start, rows.stop + WINDOW - 1)
            a, b = self._prepare(sr[more], hr[more])
            own = slice(rows.stop - rows.start)
            squares.append(np.square(a[own] - b[own]).sum())
            similarities.append(map_ssim(a, b).sum() if len(a) >= WINDOW else 0.0)
        channels = a.shape[2]
        mse = math.fsum(squares) / (sr.shape[0] * sr.shape[1] * channels)
        windows = (sr.shape[0] - WINDOW + 1) * (sr.shape[1] - WINDOW + 1) * channels
        return {
            "psnr": -10 * math.log10(mse) if mse else math.inf,
            "ssim": math.fsum(similarities) / windows,
        }

    def _prepare(self, sr: np.ndarray, hr: np.ndarray) -> list[np.ndarray]:
        """Returns both images as they are compared: in float64, rounded to 8 bits, in the channel."""
        rounded = _round(np.clip(sr.astype(np.float64), 0, 1)) / 255
        compared = [rounded, hr / 255 if hr.dtype == np.uint8 else hr.astype(np.float64)]
        return compared if self.channel == self.domain else [rgb_to_y(each) for each in compared]


Y = Protocol(name="y", domain="y", channel="y", grey="luma")
"""The protocol of SRCNN and of most papers since: 8-bit luma first, as MATLAB's `rgb2ycbcr` rounds it."""

RGB8 = Protocol(name="rgb8", domain="rgb", channel="y")
"""Images are reduced and upscaled as 8-bit RGB, and their (unrounded) luma is compared."""

RGB = Protocol(name="rgb", domain="rgb", channel="rgb")
"""Images are reduced and upscaled as 8-bit RGB, and compared over R, G and B."""

MOBILE_AI = Protocol(name="mobile_ai", domain="rgb", channel="rgb", shave=1)
"""The protocol of the Mobile AI challenges' best teams: like `RGB`, with one pixel of border cut."""

DEGRADED = Protocol(name="degraded", domain="rgb", channel="rgb", low="degraded")
"""Images are degraded as Real-ESRGAN degrades its training images, and compared over R, G and B."""

PROTOCOLS = {protocol.name: protocol for protocol in (Y, RGB8, RGB, MOBILE_AI, DEGRADED)}
"""The protocols by name."""


def choose_protocol(channels: int, *, degraded: bool = False) -> Protocol:
    """Returns the protocol that compares what a network of `channels` writes: `Y` for luma, `RGB` for RGB.

    A network that was trained on `degraded` photos, which are RGB, has the protocol `DEGRADED`.
    """
    if degraded:
        return DEGRADED
    return Y if channels == 1 else RGB


def find_protocol(name: str) -> Protocol:
    """Returns the protocol called `name`.

    Raises:
        InputError: there is no such protocol.
    """
    return look_up("protocol", name, PROTOCOLS)


def _round(image: np.ndarray) -> np.ndarray:
    """Returns the codes of 255 nearest to an image in [0, 1], halves up."""
    return np.floor(image * 255 + 0.5)


def _list_bands(shape: Sequence[int]) -> Iterator[slice]:
    """Yields the rows of an image ``[H, W, …]``, as many at once as hold `_BAND` samples."""
    step = max(WINDOW, _BAND // math.prod(shape[1:]))
    for top in range(0, shape[0], step):
        yield slice(top, min(top + step, shape[0]))
