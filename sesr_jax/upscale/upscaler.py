"""Upscalers: whatever upscales a photo, as one small value.

    write_image("large.png", upscale_photo(from_network(load("sesr_m5_x2.safetensors")), photo))

A network of one channel gets Y, and the colours of the photo are upscaled bicubically, as papers do. A
network of three channels gets RGB. Codes are rounded once, at the end.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from sesr_jax.data.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.data.resize import enlarge, imresize
from sesr_jax.errors import InputError, UnsupportedError
from sesr_jax.graph import Extent, count_cost, measure_extent
from sesr_jax.models.network import Network
from sesr_jax.upscale.fingerprints import fingerprint_network
from sesr_jax.upscale.tiles import MakeResult, Progress, upscale_tiled

_CUBIC_HALO = 2
_TRACED_SIDE = 240  # pixels; a multiple of every stride and block in use

DEFAULT_TILE = 256

Tile: TypeAlias = int | tuple[int, int] | Literal["default"] | None
"""The side of a tile in input pixels, or its height and width, halo included; None for the whole image at
once; "default" for 256, or for the whole image where the network looks at all of it."""

_MOST_PROGRAMS = 16
_LARGE = 2**21  # pixels of an image that is measured in tiles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upscaler:
    """A function that upscales float images, with what running it in tiles requires.

    Attributes:
      name: what tables and titles call it.
      scale: the scale factor.
      channels: 1 for Y in studio range, 3 for RGB.
      function: ``[1, h, w, channels]`` float32 in [0, 1] to ``[1, scale·h, scale·w, channels]``.
      extent: how far it looks, and the multiple that `h` and `w` must be.
      tile: the only (h, w) that `function` takes; None where it takes any.
      concurrent: `function` on one thread, which several threads may call at once; None where calls of
        `function` must follow each other.
      release: gives back the memory that `function` and `concurrent` keep between their calls; None where
        they keep little.
      macs: multiply-accumulates for each pixel of the input; None where nobody counts them.
      fingerprint: returns a text that differs from that of any other upscaler whose images may differ; None
        where there is no such text.
    """

    name: str
    scale: int
    channels: int
    function: Callable[[Any], Any]
    extent: Extent
    tile: tuple[int, int] | None = None
    concurrent: Callable[[Any], Any] | None = None
    release: Callable[[], None] | None = None
    macs: float | None = None
    fingerprint: Callable[[], str] | None = None


def find_photo_halo(upscaler: Upscaler) -> int:
    """Returns how many input pixels on each side a pixel of an upscaled photo depends on, with its colours.

    Raises:
      InputError: that is the whole image.
    """
    return max(upscaler.extent.get_halo(upscaler.name), _CUBIC_HALO)


def from_network(network: Network) -> Upscaler:
    """Returns the network's deployable form, compiled by XLA once for each size that it meets."""
    network = network.collapse()
    graph = network.trace((1, _TRACED_SIDE, _TRACED_SIDE, network.channels))
    return Upscaler(
        name=network.name,
        scale=network.scale,
        channels=network.channels,
        function=_bound_programs(jax.jit(network.apply)),
        extent=measure_extent(graph),
        macs=count_cost(graph).macs / _TRACED_SIDE**2,
        fingerprint=functools.partial(fingerprint_network, network, "xla"),
    )


def _bound_programs(function: Any) -> Callable[[Any], Any]:
    """Returns a compiled function that forgets its programs whenever it has one for each of many sizes.

    A program takes about 2 MB, and a folder may hold images of thousands of sizes.
    """
    shapes: set[tuple[int, ...]] = set()

    def run(x: Any) -> Any:
        if x.shape not in shapes and len(shapes) == _MOST_PROGRAMS:
            function.clear_cache()
            shapes.clear()
        shapes.add(x.shape)
        return function(x)

    return run


def bicubic_upscaler(scale: int) -> Upscaler:
    """Returns MATLAB's bicubic interpolation, the baseline of every table."""
    return Upscaler(
        name="bicubic",
        scale=scale,
        channels=1,  # colours get the same treatment either way
        function=functools.partial(_upscale_bicubically, scale=scale),
        extent=Extent(halo=_CUBIC_HALO),
        fingerprint=f"bicubic ×{scale}".__str__,
    )


def upscale_photo(
    upscaler: Upscaler,
    photo: np.ndarray,
    *,
    tile: Tile = "default",
    make_result: MakeResult = np.empty,
    progress: Progress | None = None,
) -> Any:
    """Upscales a photo.

    Memory holds one tile and the result. Tiles of 256 are also as fast on a CPU as the
    whole image is, or faster, since their activations stay near the processor.

    Args:
      upscaler: what upscales.
      photo: uint8 or uint16, ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB), with codes up to 255 or 65535.
      tile: see `Tile`. An upscaler of one fixed size has its own.
      make_result: what makes the result; it is called with a shape ``[scale·H, scale·W, 1 or 3]``.
      progress: called as ``progress(done, total)`` after each tile.

    Returns:
      ``[scale·H, scale·W]`` or ``[scale·H, scale·W, 3]``, of the same dtype, as `make_result` made it.

    Raises:
      InputError: the photo is no such array, the tile is too small for the network's halo, the network
        looks at the whole image and is given less, or its output is not finite.
    """
    if (
        photo.dtype not in (np.uint8, np.uint16)
        or photo.shape[2:] not in ((), (3,))
        or not photo.size
    ):
        raise InputError(
            f"an array {photo.dtype}{list(photo.shape)} is no photo, which is uint8 or uint16, [H, W] or "
            "[H, W, 3]."
        )
    colour = photo.ndim == 3
    pixels = photo if colour else photo[..., None]
    result = _run_in_tiles(
        upscaler,
        pixels,
        _upscale_codes,
        tile=tile,
        least_halo=_CUBIC_HALO,
        make_result=make_result,
        progress=progress,
    )
    return result[..., 0] if isinstance(result, np.ndarray) and not colour else result


def upscale_luma(upscaler: Upscaler, y: np.ndarray, *, tile: Tile = "default") -> np.ndarray:
    """Upscales a plane of Y by a network of one channel, and neither clips nor rounds it.

    Args:
      upscaler: what upscales.
      y: float32 ``[h, w, 1]``, codes of 255 in studio range: black is 16 / 255 and white 235 / 255.
      tile: as of `upscale_photo`.

    Returns:
      float32 ``[scale·h, scale·w, 1]``.

    Raises:
      InputError: as `upscale_photo`.
    """
    return _run_in_tiles(upscaler, y, _run, tile=tile)


def _run_in_tiles(
    upscaler: Upscaler,
    image: np.ndarray,
    function: Callable[[Upscaler, np.ndarray], np.ndarray],
    *,
    tile: Tile,
    least_halo: int = 0,
    make_result: MakeResult = np.empty,
    progress: Progress | None = None,
) -> Any:
    """Returns ``function(upscaler, image[None])[0]``, computed tile by tile.

    An image whose sides the network cannot take is padded with its last pixels, which are cut off again.
    """
    height, width = image.shape[:2]
    align = upscaler.extent.align
    fill = [
        max(size - length, -length % align)
        for length, size in zip((height, width), upscaler.tile or (1, 1), strict=True)
    ]
    padded = image
    if any(fill):
        padded = np.pad(image, ((0, fill[0]), (0, fill[1]), (0, 0)), "edge")
    size = upscaler.tile or _align_tile(tile, upscaler.extent, padded.shape[:2])
    if upscaler.extent.halo is None:
        _check_whole(upscaler, image.shape[:2], padded.shape[:2], size)
        halo = 0  # there is one tile
    else:
        halo = max(upscaler.extent.halo, least_halo)
    if upscaler.tile and _keeps_nothing(upscaler.tile, padded.shape[:2], halo, align):
        raise InputError(
            f"{upscaler.name} takes {upscaler.tile[1]}×{upscaler.tile[0]} pixels alone, of which {halo} on "
            f"each side only serve those inside; export it for {2 * halo + align} or more a side."
        )
    on_one_thread = None
    if upscaler.concurrent is not None:
        one = dataclasses.replace(upscaler, function=upscaler.concurrent)
        on_one_thread = functools.partial(function, one)
    return upscale_tiled(
        functools.partial(function, upscaler),
        padded,
        scale=upscaler.scale,
        tile=size,
        halo=halo,
        align=align,
        size=(height, width),
        concurrent=on_one_thread,
        make_result=make_result,
        progress=progress,
    )


def _keeps_nothing(tile: tuple[int, int], whole: tuple[int, ...], halo: int, align: int) -> bool:
    """Returns whether tiles that do not span the whole image are all halo."""
    return any(
        size < length and size < 2 * halo + align for size, length in zip(tile, whole, strict=True)
    )


def _check_whole(
    upscaler: Upscaler, image: tuple[int, ...], padded: tuple[int, ...], size: tuple[int, ...]
) -> None:
    """Checks that a network which looks at the whole image gets all of it, without padding or tiles."""
    if upscaler.tile and image != upscaler.tile:
        raise InputError(
            f"{upscaler.name} takes {upscaler.tile[1]}×{upscaler.tile[0]} pixels alone and looks at all of "
            f"them (in {upscaler.extent.whole!r}), so that an image of {image[1]}×{image[0]} does not fit."
        )
    if any(side < length for side, length in zip(size, padded, strict=True)):
        raise InputError(
            f"{upscaler.name} looks at the whole image (in {upscaler.extent.whole!r}), so that tiles of "
            f"{size[1]}×{size[0]} cannot equal the whole {image[1]}×{image[0]}; run it without tiles, or "
            "assume a halo (`with_assumed_halo`; `sesr upscale --halo`)."
        )


def _align_tile(tile: Tile, of_network: Extent, whole: tuple[int, ...]) -> tuple[int, int]:
    """Returns the height and width that `tile` asks for, rounded down to multiples that the network takes."""
    if tile == "default":
        tile = None if of_network.halo is None else DEFAULT_TILE
    height, width = whole if tile is None else (tile, tile) if isinstance(tile, int) else tile
    return height - height % of_network.align, width - width % of_network.align


def in_domain(
    upscaler: Upscaler, domain: Literal["y", "rgb"]
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns `upscaler` as `metrics.evaluate` takes it: float ``[h, w, C]`` to ``[scale·h, scale·w, C]``.

    Args:
      upscaler: what is measured; up to 2 million pixels pass through it at once, unless it has one size and
        does not run at another; larger images are cut into tiles where it does not look at all of them.
      domain: that of a protocol: "y" for C = 1, or "rgb" for C = 3, in which a network of Y runs as in
        `upscale_photo`.

    Raises:
      InputError: a network of RGB is asked for Y; what is returned raises it where an output is not finite.
    """
    if domain == "y" and upscaler.channels == 3:
        raise InputError(
            f"{upscaler.name} takes RGB, not Y; measure it in the protocol rgb8 or rgb."
        )
    if domain == "y":
        return functools.partial(_evaluate_luma, upscaler)
    return functools.partial(_evaluate_rgb, upscaler)


def _evaluate_rgb(upscaler: Upscaler, rgb: np.ndarray) -> np.ndarray:
    """Upscales float ``[h, w, 3]`` in [0, 1], rounded to 8-bit codes before and after."""
    codes = np.rint(rgb * 255).astype(np.uint8)
    return upscale_photo(upscaler, codes, tile=_choose_tile(upscaler, rgb)) / np.float32(255)


def _choose_tile(upscaler: Upscaler, image: np.ndarray) -> Tile:
    """Returns the tile to measure with: the whole image, unless that would take very much memory."""
    is_large = image.shape[0] * image.shape[1] > _LARGE
    return "default" if is_large and upscaler.extent.halo is not None else None


def _evaluate_luma(upscaler: Upscaler, y: np.ndarray) -> np.ndarray:
    """Upscales float ``[h, w, 1]``, by the file at another size than its own where it runs so."""
    if upscaler.tile is not None:
        with contextlib.suppress(UnsupportedError):  # raised by a file that has one size
            return _run(upscaler, y[None])[0]
    return upscale_luma(upscaler, y, tile=_choose_tile(upscaler, y))


def _upscale_codes(upscaler: Upscaler, codes: np.ndarray) -> np.ndarray:
    """Upscales uint8 or uint16 ``[1, h, w, 1 or 3]`` to the same dtype."""
    peak = np.float32(np.iinfo(codes.dtype).max)
    rgb = np.broadcast_to(codes, (*codes.shape[:3], 3)) / peak
    if codes.shape[-1] == 1:
        takes_y = upscaler.channels == 1
        y = _run(upscaler, rgb_to_y(rgb)) if takes_y else rgb_to_y(_run(upscaler, rgb))
        large = (255 * y - 16) / 219  # from studio range to grey
    elif upscaler.channels == 1:
        ycbcr = rgb_to_ycbcr(rgb)
        y = _run(upscaler, ycbcr[..., :1])
        chroma = enlarge(ycbcr[0, ..., 1:], (upscaler.scale, upscaler.scale))[None]
        large = ycbcr_to_rgb(np.concatenate([y, chroma], axis=-1))
    else:
        large = _run(upscaler, rgb)
    return np.floor(np.clip(large, 0, 1) * peak + np.float32(0.5)).astype(codes.dtype)


def _run(upscaler: Upscaler, x: np.ndarray) -> np.ndarray:
    """Returns ``upscaler.function(x)`` in float32, of which NaN would become black pixels if it passed."""
    y = np.asarray(upscaler.function(x), np.float32)
    if not np.isfinite(y).all():
        raise InputError(
            f"{upscaler.name} gives NaN or infinite values for this image: pixels must be finite."
        )
    return y


def _upscale_bicubically(x: np.ndarray, scale: int) -> np.ndarray:
    """Upscales ``[1, h, w, C]`` by bicubic interpolation, to float32."""
    return imresize(x[0], scale)[None].astype(np.float32)
