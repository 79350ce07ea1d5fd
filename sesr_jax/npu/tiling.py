"""The tiles in which a frame takes the least time on an NPU.

    tiling = best_tiling(layers, target, frame=(1080, 1920), halo=9)
    print(tiling.to_text())

A frame is covered by windows of one size that overlap by twice the halo, as `upscale.upscale_tiled`
runs them, so that the result equals the whole frame's and the border's recomputation is counted.
For each number of windows along an axis the least size is taken. A window's arithmetic bounds its
time from below; the sizes of the lowest bounds are estimated, `_TRIES` of them.
"""

import dataclasses
import math
from collections.abc import Sequence

from sesr_jax.errors import InputError
from sesr_jax.graph import count_tiles
from sesr_jax.npu.engines import mac_cycles, vector_cycles
from sesr_jax.npu.estimate import Report, estimate
from sesr_jax.npu.layers import Layer, at_size
from sesr_jax.npu.passes import lower
from sesr_jax.targets import Target

_COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
"""Windows along one axis."""

_TRIES = 48
"""Estimates in a search, of milliseconds each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiling:
    """A frame cut into windows.

    Attributes:
      frame: height and width of the input.
      tile: of a window, halo included.
      windows: their number in height and in width.
      halo: pixels on each side that an output pixel depends on.
      report: of one window.
      whole: of the frame without tiles.
    """

    frame: tuple[int, int]
    tile: tuple[int, int]
    windows: tuple[int, int]
    halo: int
    report: Report
    whole: Report

    @property
    def seconds(self) -> float:
        """Time for a frame, the windows' overlap included."""
        return math.prod(self.windows) * self.report.seconds

    @property
    def fps(self) -> float:
        """Frames a second."""
        return 1 / self.seconds

    @property
    def seconds_without_overlap(self) -> float:
        """Time for as many windows as the frame's area holds, 17.28 of 400×300 in 1080p (SESR's reading)."""
        return math.prod(self.frame) / math.prod(self.tile) * self.report.seconds

    def to_text(self) -> str:
        """The frame in tiles, as a paper may count it, and whole."""
        (height, width), (rows, columns) = self.tile, self.windows
        area = math.prod(self.frame) / math.prod(self.tile)
        lines = (
            f"{self.frame[1]}×{self.frame[0]} in tiles of {width}×{height}, halo {self.halo}: "
            f"{columns}×{rows} windows of {self.report.seconds * 1e3:.3f} ms and "
            f"{self.report.dram_bytes / 1e6:.2f} MB",
            f"  with overlap      {self.seconds * 1e3:9.3f} ms {self.fps:8.1f} FPS",
            f"  without overlap   {self.seconds_without_overlap * 1e3:9.3f} ms "
            f"{1 / self.seconds_without_overlap:8.1f} FPS   ({area:.2f} tiles; borders would be wrong)",
            f"  the whole frame   {self.whole.seconds * 1e3:9.3f} ms {self.whole.fps:8.1f} FPS",
        )
        return "\n".join(lines)


def best_tiling(
    layers: Sequence[Layer],
    target: Target,
    *,
    frame: tuple[int, int],
    halo: int,
    align: int = 1,
    activation_saving: float = 0.0,
    tile: tuple[int, int] | None = None,
) -> Tiling:
    """The windows in which a frame takes the least time; the frame itself where that is faster.

    Args:
      layers: of the network, at any size.
      target: the NPU.
      frame: height and width of the input.
      halo: of the network (`graph.extent`).
      align: the multiple at which windows may start (`graph.extent`).
      activation_saving: as in `estimate`.
      tile: the size of the windows where it is given and not searched.

    Raises:
      InputError: as `estimate` and `count_tiles`; the frame or the tile is no multiple of `align`.
    """
    if any(length % align for length in frame):
        raise InputError(
            f"a frame of {frame[1]}×{frame[0]} does not fit this network, which takes multiples of "
            f"{align}; pad it."
        )
    whole = estimate(at_size(layers, *frame), target, activation_saving=activation_saving)

    def tiling(size: tuple[int, int]) -> Tiling:
        size = (min(size[0], frame[0]), min(size[1], frame[1]))
        counts = [count_tiles(n, s, halo, align) for n, s in zip(frame, size, strict=True)]
        report = whole
        if size != frame:
            report = estimate(at_size(layers, *size), target, activation_saving=activation_saving)
        return Tiling(
            frame=frame,
            tile=size,
            windows=(counts[0], counts[1]),
            halo=halo,
            report=report,
            whole=whole,
        )

    if tile is not None:
        return tiling(tile)
    best = tiling(frame)
    rows, columns = (_sizes(length, halo, align) for length in frame)
    floors = []
    for height, down in rows:
        for width, across in columns:
            floor = down * across * _floor(at_size(layers, height, width), target)
            floors.append((floor, (height, width)))
    for floor, size in sorted(floors)[:_TRIES]:
        if floor >= best.seconds:
            break
        found = tiling(size)
        if found.seconds < best.seconds:
            best = found
    return best


def _sizes(length: int, halo: int, align: int) -> list[tuple[int, int]]:
    """The least size of window for each number of windows along one axis, and that number."""
    found = {}
    for count in _COUNTS:
        size = math.ceil((length + 2 * halo * (count - 1)) / count / align) * align
        if (size - 2 * halo) // align < 1:
            break
        size = min(size, length)
        found[size] = count_tiles(length, size, halo, align)
    return list(found.items())


def _floor(layers: Sequence[Layer], target: Target) -> float:
    """Seconds that no schedule can beat: each pass's slower engine."""
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
