"""Upscaling in tiles: large images in little memory, with the result of the whole image.

    graph = network.graph((1, 240, 240, 1))
    y = upscale_tiled(
        jax.jit(network.apply), image, scale=2, tile=512, halo=extent(graph).halo
    )

Windows of one size cover the image, so that there is one compilation. Each reaches `halo` pixels
beyond those that it is kept for, except where the image itself ends: there the window ends too, and
the network pads as it does for the whole image. Every kept pixel is thus the same sum of the same
numbers. On XLA's CPU backend that gives the same bits in float64, where `ops.conv2d` keeps its sums in
order (for images of five pixels a side or more), and 1e-6 in float32: `tests/upscale/test_tiles.py`.

Limits: a network that looks at the whole image (a global mean) has no halo and no tiles.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.graph import tile_step

Progress = Callable[[int, int], None]
"""Called as ``progress(done, total)`` after each window."""


def upscale_tiled(
    function: Callable[[Any], Any],
    image: Any,
    *,
    scale: int,
    tile: int | tuple[int, int],
    halo: int,
    align: int = 1,
    progress: Progress | None = None,
) -> np.ndarray:
    """``function(image[None])[0]``, computed window by window.

    Args:
      function: ``[1, h, w, C]`` to ``[1, scale·h, scale·w, D]``; all its windows have one shape.
      image: ``[H, W, C]``.
      scale: the upscaling factor.
      tile: the windows' height and width, halo included; an image that is smaller is one window.
      halo: the input pixels on each side that an output pixel may depend on (`graph.extent`).
      align: the multiple at which windows may start (`graph.extent`).
      progress: hears of each finished window.

    Returns:
      ``[scale·H, scale·W, D]`` of the function's dtype.

    Raises:
      InputError: the tile leaves nothing beside its halo, or a size is not a multiple of `align`.
    """
    sizes = (tile, tile) if isinstance(tile, int) else tile
    rows, columns = (
        _windows(length, size, halo, align)
        for length, size in zip(image.shape[:2], sizes, strict=True)
    )
    result = np.empty(0)
    for done, (row, column) in enumerate(itertools.product(rows, columns), start=1):
        y = np.asarray(function(image[None, row.start : row.stop, column.start : column.stop]))
        if not result.size:
            height, width = (scale * n for n in image.shape[:2])
            result = np.empty((height, width, y.shape[-1]), y.dtype)
        result[row.target(scale), column.target(scale)] = y[0, row.kept(scale), column.kept(scale)]
        if progress:
            progress(done, len(rows) * len(columns))
    return result


@dataclasses.dataclass(frozen=True)
class _Window:
    """Along one axis: the input [start, stop), and [first, last) of it whose output is kept."""

    start: int
    stop: int
    first: int
    last: int

    def target(self, scale: int) -> slice:
        """Where the kept output goes."""
        return slice(scale * self.first, scale * self.last)

    def kept(self, scale: int) -> slice:
        """Where it lies in the window's own output."""
        return slice(scale * (self.first - self.start), scale * (self.last - self.start))


def _windows(length: int, size: int, halo: int, align: int) -> list[_Window]:
    """Windows of min(size, length) whose kept parts cover [0, length) and overlap at the end alone."""
    size = min(size, length)
    if size == length:
        return [_Window(0, length, 0, length)]
    step = tile_step(size, halo, align)
    if length % align or size % align:
        raise InputError(
            f"an image of {length} in tiles of {size} pixels does not fit this network, which takes "
            f"multiples of {align}; pad the image and choose such a tile."
        )
    starts = [*range(0, length - size, step), length - size]
    return [
        _Window(
            start,
            start + size,
            start + halo if start else 0,
            start + size - halo if start + size < length else length,
        )
        for start in starts
    ]
