"""Upscaling image files, with their alpha, their metadata and 16 bits.

upscale_image(load_upscaler("sesr_m5_x2"), "photo.jpg", "large.png")
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from sesr_jax.data import (
    Canvas,
    Photo,
    check_animation_output,
    check_output,
    count_animation_frames,
    read_animation,
    read_photo,
    search_folder,
    spread_colours,
    write_animation,
    write_canvas,
    write_photo,
)
from sesr_jax.data.image_files import FORMATS, check_memory
from sesr_jax.errors import InputError
from sesr_jax.files import check_distinct
from sesr_jax.upscale.tiles import Progress
from sesr_jax.upscale.upscaled_file import UpscaledFile
from sesr_jax.upscale.upscaler import Tile, Upscaler, bicubic_upscaler, upscale_photo


def upscale_image(
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    tile: Tile = "default",
    progress: Progress | None = None,
) -> UpscaledFile:
    """Upscales the image file `source` to the file `target`; alpha is upscaled bicubically.

    An animation stays one (PNG, WebP, AVIF). Pixels that are wholly transparent take the colours of their
    visible neighbours. What of the metadata the target's format does not hold is dropped with a logged
    warning (`write_photo`).

    Args:
      upscaler: what upscales.
      source: PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or HEIF (the extra `heic`).
      target: whose suffix decides the format; missing folders are made.
      tile: as of `upscale_photo`.
      progress: called as ``progress(done, total)`` after each tile, or each frame of an animation.

    Raises:
      InputError: `source` cannot be read, `target` cannot be written or is `source`, the tile is too
        small for the network, the network's output is not finite, or the target's format holds
        no animation where `source` is one.
    """
    check_distinct(source, target)
    if frames := count_animation_frames(source):
        check_animation_output(source, target, frames)
        return _upscale_animation(upscaler, source, target, tile=tile, progress=progress)
    photo = read_photo(source)
    height, width = photo.pixels.shape[:2]
    large_size = (upscaler.scale * height, upscaler.scale * width)
    check_output(target, large_size)
    colours, alpha = _upscale_alpha(upscaler, photo)
    make = Canvas if colours.dtype == np.uint8 else np.empty
    with _name_source(source):
        large = upscale_photo(upscaler, colours, tile=tile, make_result=make, progress=progress)
    metadata = photo.metadata
    del photo, colours  # Encoding takes memory too.
    if upscaler.release:
        upscaler.release()
    if isinstance(large, Canvas):
        write_canvas(target, large, alpha=alpha, metadata=metadata)
    else:
        write_photo(target, Photo(pixels=large, alpha=alpha, metadata=metadata))
    return UpscaledFile(
        source=source, target=target, input_size=(height, width), output_size=large_size
    )


def _upscale_animation(
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    tile: Tile,
    progress: Progress | None,
) -> UpscaledFile:
    """Upscales the frames of an animation one by one; `progress` is called after each."""
    animation = read_animation(source)
    height, width = animation.frames[0].pixels.shape[:2]
    large_size = (upscaler.scale * height, upscaler.scale * width)
    check_output(target, large_size)
    count = len(animation.frames)
    check_memory(os.fspath(target), (count * large_size[0], large_size[1]))
    frames = []
    for done, frame in enumerate(animation.frames, start=1):
        colours, alpha = _upscale_alpha(upscaler, frame)
        with _name_source(source):
            frames.append(Photo(pixels=upscale_photo(upscaler, colours, tile=tile), alpha=alpha))
        if progress:
            progress(done, count)
    write_animation(target, dataclasses.replace(animation, frames=frames))
    return UpscaledFile(
        source=source,
        target=target,
        input_size=(height, width),
        output_size=large_size,
        frames=count,
    )


def _upscale_alpha(upscaler: Upscaler, photo: Photo) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the colours to upscale, without those that nobody sees, and the alpha of the result."""
    if photo.alpha is None:
        return photo.pixels, None
    alpha = upscale_photo(bicubic_upscaler(upscaler.scale), photo.alpha)
    return spread_colours(photo.pixels, photo.alpha), alpha


@contextlib.contextmanager
def _name_source(source: str | os.PathLike[str]) -> Iterator[None]:
    """Names the file in what is raised about its pixels."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{os.fspath(source)}: {error}") from error


def match_images(
    source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Returns each image in the folder `source` and in those inside it, and its place under `target`.

    What is read and not written becomes PNG: a.heic gets the place a.heic.png.

    Raises:
      InputError: `source` holds no image; or it holds `target`, whose images would be upscaled again the
        next time.
    """
    source, target = pathlib.Path(source), pathlib.Path(target)
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{target} lies in {source}; name a folder outside it.")
    images, _ = search_folder(source)
    places = [(path, target / path.relative_to(source)) for path in images]
    return [
        (path, place if path.suffix.lower() in FORMATS else place.with_name(f"{place.name}.png"))
        for path, place in places
    ]
