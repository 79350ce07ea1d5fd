"""Animations: the frames of GIF, PNG, WebP and AVIF files, with their times.

write_animation("out.png", read_animation("in.gif"))
"""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import ImageOps, PngImagePlugin

from sesr_jax.data.image_files import (
    ANIMATION_SUFFIXES,
    check_memory,
    list_animation_frames,
    open_image,
)
from sesr_jax.data.metadata import find_save_options, read_metadata
from sesr_jax.data.photos import Photo, find_format, to_pillow, warn_of_loss, write_pillow
from sesr_jax.errors import InputError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Animation:
    """An animation with the metadata of its file.

    Attributes:
      frames: photos of one size, uint8 RGB, without metadata; all have alpha, or none has.
      milliseconds: how long each frame is shown.
      loop: how often all of it is shown; 0 for ever.
      metadata: as `sesr_jax.data.metadata` has them.
    """

    frames: Sequence[Photo]
    milliseconds: Sequence[float]
    loop: int
    metadata: Mapping[str, Any]


def count_animation_frames(path: str | os.PathLike[str]) -> int:
    """Returns how many frames an animation has; 0 where the file is none.

    Raises:
      InputError: see `read_image`.
    """
    with open_image(path) as (file, _):
        return len(list_animation_frames(file))


def check_animation_output(
    source: str | os.PathLike[str], target: str | os.PathLike[str], frames: int
) -> None:
    """Checks that the format of `target` holds the animation `source`.

    Raises:
      InputError: it does not.
    """
    kind = find_format(target)
    if pathlib.Path(target).suffix.lower() not in ANIMATION_SUFFIXES:
        raise InputError(
            f"{os.fspath(source)} is an animation of {frames} frames, which {kind} does not hold; name a "
            f"file that ends in one of {', '.join(ANIMATION_SUFFIXES)}."
        )


def read_animation(path: str | os.PathLike[str]) -> Animation:
    """Reads all frames of an animation, of 8 bits, as a viewer shows them.

    Raises:
      InputError: see `read_image`; or the machine's memory does not hold the frames.
    """
    with open_image(path) as (file, name):
        places = list_animation_frames(file) or range(1)
        check_memory(name, (len(places) * file.height, file.width))
        if isinstance(file, PngImagePlugin.PngImageFile) and ";16" in str(file.tile[0].args):
            _log.warning("%s has samples of 16 bits, of which the high ones are read.", name)
        frames, times = [], []
        for place in places:
            file.seek(place)
            frames.append(np.array(ImageOps.exif_transpose(file).convert("RGBA")))
            times.append(float(file.info.get("duration", 0)))
        metadata = read_metadata(file, path, name)
        loop = int(file.info.get("loop", 1 if file.format == "GIF" else 0))
    opaque = all((frame[..., 3] == 255).all() for frame in frames)
    photos = [
        Photo(
            pixels=np.ascontiguousarray(frame[..., :3]),
            alpha=None if opaque else np.ascontiguousarray(frame[..., 3]),
        )
        for frame in frames
    ]
    return Animation(frames=photos, milliseconds=times, loop=loop, metadata=metadata)


def write_animation(path: str | os.PathLike[str], animation: Animation) -> None:
    """Writes an animation as PNG or WebP, without loss, or as AVIF.

    Raises:
      InputError: the suffix is of another format, or the file can't be written.
    """
    kind = find_format(path)
    check_animation_output(path, path, len(animation.frames))
    options, lost = find_save_options(kind, animation.metadata, is_grey=False)
    if kind == "AVIF" and animation.loop:
        lost.append("the number of rounds")
    warn_of_loss(path, lost, kind)
    images = [to_pillow(frame.pixels, frame.alpha) for frame in animation.frames]
    options |= {"duration": [round(each) for each in animation.milliseconds]}
    options |= {"loop": animation.loop, "save_all": True, "append_images": images[1:]}
    if kind == "PNG":
        options |= {
            "disposal": PngImagePlugin.Disposal.OP_NONE,
            "blend": PngImagePlugin.Blend.OP_SOURCE,
        }
    write_pillow(path, images[0], kind, options)
