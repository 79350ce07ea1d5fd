"""A search for the tiles in which a frame takes the least time on an NPU.

    tiling = find_best_tiling(layers, target, frame=(1080, 1920), halo=9)
    print(tiling.to_text())

A frame is covered by tiles of one size that overlap by twice the halo, as `upscale.upscale_tiled`
runs them, so that the result equals the whole frame's and the repeated work at the borders is counted.
For each number of tiles along an axis, the smallest size is tried. A tile's arithmetic bounds its
time from below; the `_TRIES` sizes with the lowest bounds are estimated.
"""

import dataclasses
import math
from collections.abc import Sequence

from sesr_jax.errors import InputError
from sesr_jax.graph import count_tiles
from sesr_jax.npu.engines import mac_cycles, vector_cycles
from sesr_jax.npu.estimate import Report, estimate
from sesr_jax.npu.layers import Layer, with_input_size
from sesr_jax.npu.lowering import lower
from sesr_jax.targets import Target

_COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
"""The numbers of tiles along one axis that are tried."""

_TRIES = 48
"""The most estimates in a search; each takes some milliseconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """A frame that is cut into tiles.

    Attributes:
      frame: height and width of the input.
      tile: height and width of a tile, halo included.
      tiles: how many lie in height and in width.
      halo: the pixels on each side that an output pixel depends on.
      report: the estimate of one tile.
      whole: the estimate of the frame without tiles.
    """

    frame: tuple[int, int]
    tile: tuple[int, int]
    tiles: tuple[int, int]
    halo: int
    report: Report
    whole: Report

    @property
    def seconds(self) -> float:
        """Time for a frame, the tiles' overlap included."""
        return math.prod(self.tiles) * self.report.seconds

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1 / self.seconds

    @property
    def seconds_by_area(self) -> float:
        """Time for as many tiles as the frame's area holds, without overlap.

        The SESR paper counts so: 17.28 tiles of 400×300 for a frame of 1080p.
        """
        return math.prod(self.frame) / math.prod(self.tile) * self.report.seconds

    def to_text(self) -> str:
        """Returns lines about the frame in tiles, with and without overlap, and about the whole frame."""
        (height, width), (rows, columns) = self.tile, self.tiles
        area = math.prod(self.frame) / math.prod(self.tile)
        lines = (
            f"{self.frame[1]}×{self.frame[0]} in tiles of {width}×{height}, halo {self.halo}: "
            f"{columns}×{rows} tiles of {self.report.seconds * 1e3:.3f} ms and "
            f"{self.report.dram_bytes / 1e6:.2f} MB",
            f"  with overlap      {self.seconds * 1e3:9.3f} ms {self.fps:8.1f} FPS",
            f"  without overlap   {self.seconds_by_area * 1e3:9.3f} ms "
            f"{1 / self.seconds_by_area:8.1f} FPS   ({area:.2f} tiles; their borders would be wrong)",
            f"  the whole frame   {self.whole.seconds * 1e3:9.3f} ms {self.whole.fps:8.1f} FPS",
        )
        return "\n".join(lines)


def find_best_tiling(
    layers: Sequence[Layer],
    target: Target,
    *,
    frame: tuple[int, int],
    halo: int,
    align: int = 1,
    activation_saving: float = 0.0,
    tile: tuple[int, int] | None = None,
) -> Tiling:
    """Returns the tiles in which a frame takes the least time, or the whole frame where that is faster.

    Args:
      layers: the network's, at any size.
      target: the NPU.
      frame: height and width of the input.
      halo: the network's halo in pixels (`graph.measure_extent`).
      align: the multiple of pixels at which tiles may start (`graph.measure_extent`).
      activation_saving: as in `estimate`.
      tile: height and width of the tiles; None to search for the fastest.

    Raises:
      InputError: as `estimate` and `count_tiles`; the frame or the tile is no multiple of `align`.
    """
    if any(length % align for length in frame):
        raise InputError(
            f"a frame of {frame[1]}×{frame[0]} does not fit this network, which takes multiples of {align}; "
            "pad the frame."
        )
    whole = estimate(with_input_size(layers, *frame), target, activation_saving=activation_saving)

    def tiling(size: tuple[int, int]) -> Tiling:
        size = (min(size[0], frame[0]), min(size[1], frame[1]))
        counts = [count_tiles(n, s, halo, align) for n, s in zip(frame, size, strict=True)]
        report = whole
        if size != frame:
            report = estimate(
                with_input_size(layers, *size), target, activation_saving=activation_saving
            )
        return Tiling(
            frame=frame,
            tile=size,
            tiles=(counts[0], counts[1]),
            halo=halo,
            report=report,
            whole=whole,
        )

    if tile is not None:
        return tiling(tile)
    best = tiling(frame)
    rows, columns = (_list_sizes(length, halo, align) for length in frame)
    floors = []
    for height, down in rows:
        for width, across in columns:
            floor = (
                down * across * _find_lower_bound(with_input_size(layers, height, width), target)
            )
            floors.append((floor, (height, width)))
    for floor, size in sorted(floors)[:_TRIES]:
        if floor >= best.seconds:
            break
        found = tiling(size)
        if found.seconds < best.seconds:
            best = found
    return best


def _list_sizes(length: int, halo: int, align: int) -> list[tuple[int, int]]:
    """Returns the smallest tile for each number of tiles along one axis, and that number."""
    found = {}
    for count in _COUNTS:
        size = math.ceil((length + 2 * halo * (count - 1)) / count / align) * align
        if (size - 2 * halo) // align < 1:
            break
        size = min(size, length)
        found[size] = count_tiles(length, size, halo, align)
    return list(found.items())


def _find_lower_bound(layers: Sequence[Layer], target: Target) -> float:
    """Returns the seconds that no schedule can beat: each pass takes its slower engine's time."""
    cycles = 0.0
    for p in lower(layers, target):
        engines = [0.0]
        if p.conv is not None:
            blocks = target.vector.blocks
            engines.append(min(mac_cycles(target, p.conv, block)[0] for block in blocks))
        if p.patch_cycles:
            engines.append(float(vector_cycles(target, p.patch_cycles, p.vector_map)))
        cycles += max(engines) + target.stripes.layer_cycles
    return cycles / target.clock_hz
