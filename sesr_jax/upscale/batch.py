"""Upscaling files of any kind: an image, a video, or a folder of images.

    print(upscale_file(load_upscaler("sesr_m5_x2"), "photo.jpg", "large.png"))
    for outcome in upscale_folder(load_upscaler("sesr_m5_x2"), "holidays", "large"):
        print(outcome.upscaled or outcome.failure)

A bar on a terminal shows how far the work is.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from tqdm import tqdm

from sesr_jax.data import (
    count_animation_frames,
    read_animation,
    read_image_size,
    read_photo,
    search_folder,
    to_8_bits,
)
from sesr_jax.data.image_files import FORMATS, is_video_name
from sesr_jax.errors import InputError, Stopped
from sesr_jax.upscale.assumed import choose_halo, measure_tiling_error, with_assumed_halo
from sesr_jax.upscale.images import match_images, upscale_image
from sesr_jax.upscale.upscaled_file import UpscaledFile
from sesr_jax.upscale.upscaler import Tile, Upscaler
from sesr_jax.upscale.video import VIDEO_FORMATS, upscale_video

TileChoice: TypeAlias = Tile | Callable[[tuple[int, int]], Tile]
"""A tile, or a function that chooses one for an image's height and width."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one image of a folder; where nothing is set, its target was there already.

    Attributes:
      source: the image.
      upscaled: the file that was written, if it was.
      failure: why the image could not be upscaled, if it could not.
      left_out: whether it is a video, or an image of a format that is not read.
    """

    source: pathlib.Path
    upscaled: UpscaledFile | None = None
    failure: str = ""
    left_out: bool = False


def upscale_file(
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    tile: TileChoice = "default",
    halo: int | None = None,
    deinterlace: bool = False,
) -> UpscaledFile:
    """Upscales the image or video `source` to the file `target`.

    Args:
      upscaler: what upscales.
      source: an image as of `upscale_image`, or a video as of `upscale_video`.
      target: the file to write; its suffix decides the format, and a suffix of `VIDEO_FORMATS` makes a video.
      tile: as of `upscale_photo`, or a function that chooses it for an image's height and width.
      halo: if given, tiles are taken as `with_assumed_halo` has them, and their error is measured. Where
        neither is given, images of a network that looks too far for tiles have one too (`choose_halo`).
      deinterlace: as of `upscale_video`.

    Raises:
      InputError: as `upscale_image`, `upscale_video` and `with_assumed_halo`; `target` ends in no known
        suffix, or in that of an image where `source` is a video; an image is to be deinterlaced; a video is
        given with a halo or with a function that chooses tiles.
    """
    _check_kinds(source, target)
    label = f"{upscaler.name} ×{upscaler.scale}"
    if pathlib.Path(target).suffix.lower() in VIDEO_FORMATS:
        if callable(tile) or halo is not None:
            raise InputError(
                f"{os.fspath(target)} is a video: a halo and tiles that suit the size are for images alone."
            )
        with tqdm(desc=label, unit="frame", leave=False, disable=None) as bar:
            return upscale_video(
                upscaler, source, target, tile=tile, deinterlace=deinterlace, progress=_move(bar)
            )
    if deinterlace:
        raise InputError(f"{os.fspath(target)} is an image: videos alone are deinterlaced.")
    if callable(tile):
        tile = tile(read_image_size(source))
    error = None
    if halo is None and tile == "default":
        halo = choose_halo(upscaler, read_image_size(source))
    if halo is not None:
        animated = count_animation_frames(source)
        photo = read_animation(source).frames[0] if animated else read_photo(source)
        with tqdm(desc=f"{label}, measuring", unit="tile", leave=False, disable=None) as bar:
            error = measure_tiling_error(
                upscaler, to_8_bits(photo.pixels), halo, tile=tile, progress=_move(bar)
            )
        upscaler = with_assumed_halo(upscaler, halo)
    with tqdm(desc=label, unit="tile", leave=False, disable=None) as bar:
        upscaled = upscale_image(upscaler, source, target, tile=tile, progress=_move(bar))
    return dataclasses.replace(upscaled, tiling_error=error)


def _check_kinds(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Checks that an image is to be made of an image, or a video of a video, as far as their names tell."""
    suffix = pathlib.Path(target).suffix.lower()
    if suffix not in FORMATS and suffix not in VIDEO_FORMATS:
        raise InputError(
            f"{os.fspath(target)} must end in one of {', '.join(FORMATS)} for an image, or of "
            f"{', '.join(VIDEO_FORMATS)} for a video."
        )
    if suffix in FORMATS and is_video_name(source):
        raise InputError(
            f"{os.fspath(source)} is a video, of which {os.fspath(target)} cannot be made; name a file that "
            f"ends in one of {', '.join(VIDEO_FORMATS)}."
        )


def upscale_folder(
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    tile: TileChoice = "default",
    halo: int | None = None,
) -> Iterator[Outcome]:
    """Upscales each image of the folder `source`, and of those inside it, that is not yet in `target`.

    An image that cannot be upscaled does not keep the others from it: its outcome says why. So do, at the
    end, the outcomes of videos and of images of other formats, which are left out.

    Args:
      upscaler: what upscales.
      source: the folder of images.
      target: the folder to write, in which what is there already stays.
      tile: as of `upscale_file`.
      halo: as of `upscale_file`.

    Yields:
      The outcome of each image when it is done.

    Raises:
      InputError: as `match_images`.
    """
    for path, place in tqdm(match_images(source, target), unit="image", disable=None):
        if place.exists():
            yield Outcome(source=path)
            continue
        try:
            upscaled = upscale_file(upscaler, path, place, tile=tile, halo=halo)
        except Stopped:
            raise
        except Exception as error:  # of a codec, of the compiler, or of memory that is used up
            yield Outcome(source=path, failure=_explain(path, error))
        else:
            yield Outcome(source=path, upscaled=upscaled)
    for path in search_folder(source)[1]:
        yield Outcome(source=path, left_out=True)


def _explain(path: pathlib.Path, error: Exception) -> str:
    """Returns the sentence of an `InputError`, or one that names the file and what was raised."""
    if isinstance(error, InputError):
        return str(error)
    reason = next(iter(str(error).splitlines()), "")[:200]
    return f"{path} can't be upscaled: {type(error).__name__}{': ' * bool(reason)}{reason}."


def _move(bar: tqdm) -> Callable[[int, int], None]:
    """Returns a function of the work done and in total that moves `bar` there."""

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return progress
