"""Upscalers: anything that makes a photo larger, behind one small value.

    write_image("large.png", upscale_photo(from_network(load("sesr_m5_x2.safetensors")), photo))

A network of one channel sees Y; the colours of the photo are upscaled bicubically, as the literature
does. A network of three channels sees RGB. Codes are rounded once, at the end.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.data.resize import imresize
from sesr_jax.errors import InputError
from sesr_jax.graph import alignment, cost, receptive_radius
from sesr_jax.models.network import Network
from sesr_jax.upscale.tiles import Progress, upscale_tiled

_CUBIC_HALO = 2
_TRACED = 240  # pixels; a multiple of every stride and block in use


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upscaler:
    """A function that upscales float images, with what running it in tiles requires.

    Attributes:
      name: what tables and titles call it.
      scale: the upscaling factor.
      channels: 1 for Y in studio range, 3 for RGB.
      function: ``[1, h, w, channels]`` float32 in [0, 1] to ``[1, scale·h, scale·w, channels]``.
      halo: the input pixels on each side that an output pixel depends on.
      align: the multiple that `h` and `w` must be.
      tile: the only (h, w) that `function` takes; None where it takes any.
      macs: multiply-accumulates for each pixel of the input; None where nobody counts them.
    """

    name: str
    scale: int
    channels: int
    function: Callable[[Any], Any]
    halo: int
    align: int = 1
    tile: tuple[int, int] | None = None
    macs: float | None = None


def photo_halo(upscaler: Upscaler) -> int:
    """The input pixels on each side that a pixel of an upscaled photo depends on, its colours included."""
    return max(upscaler.halo, _CUBIC_HALO)


def from_network(network: Network) -> Upscaler:
    """The network's deployable form, compiled once for each size that it meets.

    Raises:
      InputError: the network looks at the whole image.
    """
    network = network.collapsed()
    graph = network.graph((1, _TRACED, _TRACED, network.channels))
    return Upscaler(
        name=network.name,
        scale=network.scale,
        channels=network.channels,
        function=jax.jit(network.apply),
        halo=receptive_radius(graph),
        align=alignment(graph),
        macs=cost(graph).macs / _TRACED**2,
    )


def bicubic(scale: int) -> Upscaler:
    """MATLAB's bicubic interpolation, the baseline of every table."""
    return Upscaler(
        name="bicubic",
        scale=scale,
        channels=1,  # colours get the same treatment either way
        function=functools.partial(_cubic, scale=scale),
        halo=_CUBIC_HALO,
    )


def upscale_photo(
    upscaler: Upscaler,
    photo: np.ndarray,
    *,
    tile: int | tuple[int, int] | None = 256,
    progress: Progress | None = None,
) -> np.ndarray:
    """A photo `upscaler.scale` times as large.

    The memory is that of one tile and of the result. Tiles of 256 are also as fast on a CPU as the
    whole image is, or faster, since their activations stay near the processor.

    Args:
      upscaler: what upscales.
      photo: uint8, ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB).
      tile: the side of a tile in input pixels, or its height and width, halo included; None for the
        whole photo at once. An upscaler of one fixed size has its own.
      progress: called as ``progress(done, total)`` after each tile.

    Returns:
      uint8, ``[scale·H, scale·W]`` or ``[scale·H, scale·W, 3]``.

    Raises:
      InputError: the photo is no such array, or the tile is too small for the network's halo.
    """
    if photo.dtype != np.uint8 or photo.shape[2:] not in ((), (3,)) or not photo.size:
        raise InputError(
            f"an array {photo.dtype}{list(photo.shape)} is no photo; give uint8 [H, W] or [H, W, 3]."
        )
    colour = photo.ndim == 3
    pixels = photo if colour else photo[..., None]
    result = _in_windows(
        upscaler,
        pixels,
        functools.partial(_upscale_codes, upscaler),
        tile=tile,
        halo=photo_halo(upscaler),
        progress=progress,
    )
    return result if colour else result[..., 0]


def upscale_luma(
    upscaler: Upscaler, y: np.ndarray, *, tile: int | tuple[int, int] | None = 256
) -> np.ndarray:
    """A plane of Y `upscaler.scale` times as large, by a network of one channel, neither clipped nor rounded.

    Args:
      upscaler: what upscales.
      y: float32 ``[h, w, 1]``, codes of 255 in studio range: black is 16 / 255 and white 235 / 255.
      tile: as of `upscale_photo`.

    Returns:
      float32 ``[scale·h, scale·w, 1]``.

    Raises:
      InputError: the tile is too small for the network's halo.
    """
    return _in_windows(upscaler, y, upscaler.function, tile=tile, halo=upscaler.halo)


def _in_windows(
    upscaler: Upscaler,
    image: np.ndarray,
    function: Callable[[np.ndarray], np.ndarray],
    *,
    tile: int | tuple[int, int] | None,
    halo: int,
    progress: Progress | None = None,
) -> np.ndarray:
    """``function(image[None])[0]``, window by window, where `function` runs `upscaler`.

    What the network cannot take is filled up with the image's last pixels, and cut off again.
    """
    height, width = image.shape[:2]
    align = upscaler.align
    fill = [
        max(size - length, -length % align)
        for length, size in zip((height, width), upscaler.tile or (1, 1), strict=True)
    ]
    filled = np.pad(image, ((0, fill[0]), (0, fill[1]), (0, 0)), "edge")
    if upscaler.tile and _keeps_nothing(upscaler.tile, filled.shape[:2], halo, align):
        raise InputError(
            f"{upscaler.name} takes {upscaler.tile[1]}×{upscaler.tile[0]} pixels alone, of which {halo} on "
            f"each side only serve those inside; export it for {2 * halo + align} or more a side."
        )
    return upscale_tiled(
        function,
        filled,
        scale=upscaler.scale,
        tile=upscaler.tile or _aligned(tile, filled.shape[:2], align),
        halo=halo,
        align=align,
        progress=progress,
    )[: height * upscaler.scale, : width * upscaler.scale]


def _keeps_nothing(tile: tuple[int, int], whole: tuple[int, ...], halo: int, align: int) -> bool:
    return any(
        size < length and size < 2 * halo + align for size, length in zip(tile, whole, strict=True)
    )


def _aligned(
    tile: int | tuple[int, int] | None, whole: tuple[int, ...], align: int
) -> tuple[int, int]:
    height, width = whole if tile is None else (tile, tile) if isinstance(tile, int) else tile
    return height - height % align, width - width % align


def in_domain(
    upscaler: Upscaler, domain: Literal["y", "rgb"]
) -> Callable[[np.ndarray], np.ndarray]:
    """`upscaler` as `metrics.evaluate` wants it: float ``[h, w, C]`` to ``[scale·h, scale·w, C]``.

    Args:
      upscaler: what is measured; the whole image passes through it at once, unless it has one size
        and does not run at another.
      domain: of a protocol: "y" for C = 1, "rgb" for C = 3, where a network of Y goes the way of a photo.

    Raises:
      InputError: a network of RGB is asked for Y.
    """
    if domain == "y" and upscaler.channels == 3:
        raise InputError(
            f"{upscaler.name} takes RGB, not Y; measure it in the protocol rgb8 or rgb."
        )
    if domain == "y":
        return functools.partial(_upscale_luma, upscaler)
    return lambda rgb: upscale_photo(upscaler, np.rint(rgb * 255).astype(np.uint8), tile=None) / 255


def _upscale_luma(upscaler: Upscaler, y: np.ndarray) -> np.ndarray:
    """float ``[h, w, 1]`` to the same, `scale` times as large."""
    if upscaler.tile is not None:
        with contextlib.suppress(InputError):  # of a file that has one size
            return np.asarray(upscaler.function(y[None]))[0]
    return upscale_luma(upscaler, y, tile=None)


def _upscale_codes(upscaler: Upscaler, codes: np.ndarray) -> np.ndarray:
    """uint8 ``[1, h, w, 1 or 3]`` to the same, `scale` times as large."""
    rgb = np.broadcast_to(codes, (*codes.shape[:3], 3)) / np.float32(255)
    if codes.shape[-1] == 1:
        luma = upscaler.channels == 1
        y = _run(upscaler, rgb_to_y(rgb)) if luma else rgb_to_y(_run(upscaler, rgb))
        large = (255 * y - 16) / 219  # from studio range to grey
    elif upscaler.channels == 1:
        ycbcr = rgb_to_ycbcr(rgb)
        y = _run(upscaler, ycbcr[..., :1])
        chroma = _cubic(ycbcr[..., 1:], upscaler.scale)
        large = ycbcr_to_rgb(np.concatenate([y, chroma], axis=-1))
    else:
        large = _run(upscaler, rgb)
    return np.floor(np.clip(large, 0, 1) * 255 + 0.5).astype(np.uint8)


def _run(upscaler: Upscaler, x: np.ndarray) -> np.ndarray:
    return np.asarray(upscaler.function(x), np.float32)


def _cubic(x: np.ndarray, scale: int) -> np.ndarray:
    """Bicubic interpolation of ``[1, h, w, C]``, to float32."""
    return imresize(x[0], scale)[None].astype(np.float32)
