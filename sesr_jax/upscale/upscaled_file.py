"""The one value that says what upscaling a file gave, be it an image or a video."""

import dataclasses
import os

from sesr_jax.upscale.assumed import TilingError


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpscaledFile:
    """A file that was upscaled.

    Attributes:
      source: the file that was read.
      target: the file that was written.
      input_size: the height and width that were read; of a video, before any rotation for display.
      output_size: the height and width that were written, scale times as many.
      frames: how many frames a video or an animation has; None for an image.
      damaged_frames: how many frames of a video could not be decoded, or not in whole. In their places stand
        the frames before them, or what the decoder made of them; at the ends there is nothing.
      tiling_error: how far the tiles are from the whole image, where a halo was assumed.
    """

    source: str | os.PathLike[str]
    target: str | os.PathLike[str]
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    frames: int | None = None
    damaged_frames: int = 0
    tiling_error: TilingError | None = None

    def __str__(self) -> str:
        """Returns a line for the user."""
        (height, width), (large_height, large_width) = self.input_size, self.output_size
        line = f"{self.source} {width}×{height} → {self.target} {large_width}×{large_height}"
        if self.frames is not None:
            line += f", {self.frames} frames"
        if self.damaged_frames:
            line += f", {self.damaged_frames} damaged or lost"
        return line if self.tiling_error is None else f"{line}; {self.tiling_error}"
