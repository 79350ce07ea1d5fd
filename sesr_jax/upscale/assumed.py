"""Tiles of a network that looks further than tiles allow, and how far they are from the whole.

    upscaler = with_assumed_halo(load_upscaler("network.safetensors"), 32)
    large = upscale_photo(upscaler, photo)      # in tiles, not equal to the whole photo's

A global mean, or an attention over the whole image, has another value in every tile. A deep network looks
hundreds of pixels far, though little of what it sees there matters. Where the whole image does not fit into
memory, tiles may still be near enough: that is measured, and never assumed.
"""

import dataclasses

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.upscale.tiles import Progress
from sesr_jax.upscale.upscaler import DEFAULT_TILE, Tile, Upscaler, upscale_photo

_SIDE = 1024
_DEEP_SIDE = 320
"""The sides of the part that is measured: a deep network takes long for it, and much memory."""

_DEEP_HALO = 32
_DEEP_SHARE = 4
"""A network is deep where its halo is more than this part of a tile, which would then keep few pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TilingError:
    """How far an image from tiles is from the image upscaled whole.

    Attributes:
      size: the height and width of the part that both were computed of, in input pixels.
      largest: the largest difference, in codes of 255.
      psnr: in dB, over all channels; infinite where they are equal.
    """

    size: tuple[int, int]
    largest: int
    psnr: float

    def __str__(self) -> str:
        """Returns a sentence for the user."""
        height, width = self.size
        return (
            f"tiles differ from the whole image by up to {self.largest} of 255 codes ({self.psnr:.1f} dB), "
            f"measured on its central {width}×{height} pixels"
        )


def with_assumed_halo(upscaler: Upscaler, halo: int) -> Upscaler:
    """Returns `upscaler` as though it looked no further than `halo` input pixels.

    Raises:
      InputError: it does so already, or the halo is negative.
    """
    if upscaler.extent.halo is not None and upscaler.extent.halo <= halo:
        raise InputError(
            f"{upscaler.name} looks {upscaler.extent.halo} pixels far: a halo that is assumed must be "
            f"smaller, and {halo} is not."
        )
    if halo < 0:
        raise InputError(f"a halo of {halo} pixels was given: it must be 0 or more.")
    return dataclasses.replace(upscaler, extent=dataclasses.replace(upscaler.extent, halo=halo))


def choose_halo(upscaler: Upscaler, size: tuple[int, int]) -> int | None:
    """Returns the halo to assume for an image of this height and width in tiles of the default size.

    It is None where the network's own halo serves, where the image is one tile, and where the network looks
    at the whole image, which is run whole unless a user decides otherwise.
    """
    own = upscaler.extent.halo
    if own is None or upscaler.tile or own * _DEEP_SHARE <= DEFAULT_TILE:
        return None
    return None if max(size) <= DEFAULT_TILE else _DEEP_HALO


def measure_tiling_error(
    upscaler: Upscaler,
    photo: np.ndarray,
    halo: int,
    *,
    tile: Tile = "default",
    progress: Progress | None = None,
) -> TilingError:
    """Compares tiles with the whole, on the central part of a photo.

    Args:
      upscaler: one that looks further than `halo`.
      photo: as of `upscale_photo`.
      halo: as of `with_assumed_halo`.
      tile: as of `upscale_photo`.
      progress: called as ``progress(done, total)`` after each tile, which follow the whole.

    Returns:
      The difference on 1024×1024 pixels, or on three tiles a side where that is more, or on the whole photo
      where that is less. For a deep network it is 320×320 pixels, or a quarter more than a tile.
    """
    sides = [n for n in (tile if isinstance(tile, tuple) else (tile,)) if isinstance(n, int)]
    if upscaler.extent.halo is None:
        side = max(_SIDE, *(3 * n for n in sides), 0)
    else:
        align = upscaler.extent.align
        side = -(-max(_DEEP_SIDE, *(5 * n // 4 for n in sides), 0) // align) * align
    starts = [max(0, (length - side) // 2) for length in photo.shape[:2]]
    part = photo[starts[0] : starts[0] + side, starts[1] : starts[1] + side]
    whole = upscale_photo(upscaler, part, tile=None).astype(int)
    tiled = upscale_photo(with_assumed_halo(upscaler, halo), part, tile=tile, progress=progress)
    apart = np.abs(tiled - whole)
    with np.errstate(divide="ignore"):
        psnr = float(10 * np.log10(255**2 / np.mean(apart.astype(float) ** 2)))
    return TilingError(size=(part.shape[0], part.shape[1]), largest=int(apart.max()), psnr=psnr)
