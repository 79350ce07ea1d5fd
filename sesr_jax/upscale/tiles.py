"""Upscaling in tiles: large images in little memory, with the result of the whole image.

    graph = network.trace((1, 240, 240, 1))
    y = upscale_tiled(
        jax.jit(network.apply), image, scale=2, tile=512, halo=measure_extent(graph).halo
    )

Tiles of one size cover the image, so that there is one compilation. Each extends `halo` pixels beyond
those whose output is kept, except where the image itself ends: there the tile ends too, and the
network pads as it does for the whole image. Every kept pixel is thus the same sum of the same numbers. On
XLA's CPU backend tiles equal the whole bit for bit in float64, where `ops.conv2d` keeps its sums in order
(for images with sides of five pixels or more), and to 1e-6 in float32: `tests/upscale/test_tiles.py`.

Limits: a network that looks at the whole image (a global mean) has no halo and no tiles.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.graph import tile_step
from sesr_jax.upscale.threads import map_beside

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)`` after each tile."""

MakeResult = Callable[[tuple[int, int, int], Any], Any]
"""Called with a shape and a dtype, as `np.empty` is; what it returns takes parts as an array does."""


def upscale_tiled(
    function: Callable[[Any], Any],
    image: Any,
    *,
    scale: int,
    tile: int | tuple[int, int],
    halo: int,
    align: int = 1,
    size: tuple[int, ...] | None = None,
    concurrent: Callable[[Any], Any] | None = None,
    make_result: MakeResult = np.empty,
    progress: Progress | None = None,
) -> Any:
    """Returns ``function(image[None])[0]``, computed tile by tile.

    Args:
      function: ``[1, h, w, C]`` to ``[1, scale·h, scale·w, D]``; all tiles have one shape.
      image: ``[H, W, C]``.
      scale: the scale factor.
      tile: the tiles' height and width, halo included; an image that is smaller is one tile.
      halo: the input pixels on each side that an output pixel may depend on (`graph.measure_extent`).
      align: the multiple at which tiles may start (`graph.measure_extent`).
      size: the height and width of the part at the top left whose output is wanted; all by default.
      concurrent: as `function`, where several threads may call it at once; several tiles are then computed
        beside each other.
      make_result: what makes the result.
      progress: called as ``progress(done, total)`` after each tile.

    Returns:
      ``[scale·H, scale·W, D]`` of the function's dtype, as `make_result` made it.

    Raises:
      InputError: the tile leaves nothing beside its halo, or a size is not a multiple of `align`.
    """
    sizes = (tile, tile) if isinstance(tile, int) else tile
    rows, columns = (
        _split_axis(length, size, halo, align)
        for length, size in zip(image.shape[:2], sizes, strict=True)
    )
    places = list(itertools.product(rows, columns))
    tiles = (
        image[None, row.start : row.stop, column.start : column.stop] for row, column in places
    )
    several = concurrent is not None and len(places) > 1
    parts = map_beside(concurrent, tiles) if several else map(function, tiles)  # type: ignore[arg-type]
    result: Any = None
    height, width = (scale * n for n in size or image.shape[:2])
    for done, ((row, column), y) in enumerate(
        zip(places, map(np.asarray, parts), strict=True), start=1
    ):
        if result is None:
            result = make_result((height, width, y.shape[-1]), y.dtype)
        down, right = row.find_output(scale), column.find_output(scale)
        part = y[0, row.find_kept_part(scale), column.find_kept_part(scale)]
        part = part[: max(0, height - down.start), : max(0, width - right.start)]
        result[down.start : down.start + len(part), right.start : right.start + part.shape[1]] = (
            part
        )
        if progress:
            progress(done, len(places))
    return result


@dataclasses.dataclass(frozen=True)
class _Tile:
    """A tile along one axis: the input [start, stop), and its part [first, last) whose output is kept."""

    start: int
    stop: int
    first: int
    last: int

    def find_output(self, scale: int) -> slice:
        """Returns where the kept output lies in the whole output."""
        return slice(scale * self.first, scale * self.last)

    def find_kept_part(self, scale: int) -> slice:
        """Returns where the kept output lies in the tile's own output."""
        return slice(scale * (self.first - self.start), scale * (self.last - self.start))


def _split_axis(length: int, size: int, halo: int, align: int) -> list[_Tile]:
    """Returns tiles of min(size, length) whose kept parts cover [0, length) and overlap at the end alone."""
    size = min(size, length)
    if size == length:
        return [_Tile(0, length, 0, length)]
    step = tile_step(size, halo, align)
    if length % align or size % align:
        raise InputError(
            f"an image of {length} pixels in tiles of {size}: this network takes multiples of {align}; pad "
            "the image and choose such a tile."
        )
    starts = [*range(0, length - size, step), length - size]
    return [
        _Tile(
            start,
            start + size,
            start + halo if start else 0,
            start + size - halo if start + size < length else length,
        )
        for start in starts
    ]
