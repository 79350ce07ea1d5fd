"""Reads and writes image files as uint8 arrays.

Arrays are ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB), `uint8`, as a viewer shows them: the EXIF orientation
is applied and palettes are resolved. Colour profiles are not applied.

    write_image("out.png", read_image("in.jpg"))    # the colours alone
    photo = read_photo("in.png")                    # with alpha, colour profile and EXIF
"""

import dataclasses
import io
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from sesr_jax.data.image_files import FORMATS, check_memory, open_image
from sesr_jax.errors import InputError
from sesr_jax.files import check_writable, write_file

_log = logging.getLogger(__name__)

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_deflate"},
    "WEBP": {"lossless": True},
}


_ALPHA = ("AVIF", "PNG", "TIFF", "WEBP")
_BOTH = ("icc_profile", "exif")
_METADATA = {
    **dict.fromkeys(("AVIF", "JPEG", "PNG", "WEBP"), _BOTH),
    "TIFF": ("icc_profile",),
}
"""The metadata that each format gets; Pillow cannot write EXIF to a compressed TIFF file."""

_LONGEST = {"AVIF": 65_536, "JPEG": 65_500, "WEBP": 16_383}
"""The largest side in pixels, for formats whose limit images can reach."""

_SIZES = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
_PROFILED = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""The modes whose samples are kept unchanged, so that the file's colour profile still applies to them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """An image with the alpha channel and the metadata of its file.

    Attributes:
      pixels: uint8, ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB).
      alpha: uint8 ``[H, W]``, 255 where the image is opaque; None where the file has no alpha.
      metadata: "icc_profile" and "exif" as bytes, where the file has them. EXIF is without the orientation,
        which is applied, and without the tags that depend on the size.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


def read_photo(path: str | os.PathLike[str] | bytes) -> Photo:
    """Reads an image as `read_image` does, with alpha and metadata; logs a warning for all that is lost.

    Raises:
        InputError: see `read_image`.
    """
    with open_image(path) as (file, name):
        if (frames := getattr(file, "n_frames", 1)) > 1:
            _log.warning("%s has %d frames, of which the first one is read.", name, frames)
        if file.format != "BMP" and _is_deep(file):  # 16 bits are those of a whole pixel in a BMP
            _log.warning("%s has samples of 16 bits, of which the high ones are read.", name)
        image = ImageOps.exif_transpose(file)
        image.load()
        metadata = {}
        if exif := image.info.get("exif"):
            try:
                metadata["exif"] = _drop_size(exif)
            except Exception:  # Pillow raises nearly anything on damaged bytes
                _log.warning("%s has damaged EXIF, which is dropped.", name)
        if image.mode in _PROFILED and (profile := image.info.get("icc_profile")):
            metadata["icc_profile"] = profile
    alpha = None
    if image.has_transparency_data and not image.mode.startswith("I;16"):
        alpha = np.array(image.convert("RGBA").getchannel("A"))
    return Photo(pixels=_to_uint8(image, name), alpha=alpha, metadata=metadata)


def _is_deep(file: Image.Image) -> bool:
    """Returns whether the file has samples of 16 bits, such as "RGB;16B", even where the mode is "RGB"."""
    return any(";16" in str(tile.args) for tile in getattr(file, "tile", ()))


def _drop_size(exif: bytes) -> bytes:
    """Returns EXIF without the tags that depend on the image's size: its sides and the thumbnail."""
    tags = Image.Exif()
    tags.load(exif)
    details = tags.get_ifd(ExifTags.IFD.Exif)
    for size in _SIZES:
        details.pop(size, None)
    return tags.tobytes()


def read_image(path: str | os.PathLike[str] | bytes) -> np.ndarray:
    """Reads a PNG, JPEG, WebP, AVIF, BMP or TIFF file, known by its content; `path` may be its bytes.

    Alpha is dropped with a logged warning; the colours under it are kept. Samples of 16 bits
    keep their high byte; float samples must lie in [0, 1] and are rounded to codes of 255. CMYK
    and YCbCr become RGB by Pillow's formulas. Only the first frame of an animation is read.

    Returns:
        uint8 ``[H, W]`` for a grey file, ``[H, W, 3]`` for any other.

    Raises:
        InputError: the file is missing, damaged, truncated or of another format.
    """
    with open_image(path) as (file, name):
        image = ImageOps.exif_transpose(file)
        image.load()
    if image.has_transparency_data:
        _log.warning("%s has an alpha channel, which is dropped.", name)
    return _to_uint8(image, name)


def write_image(
    path: str | os.PathLike[str],
    image: np.ndarray,
    *,
    alpha: np.ndarray | None = None,
    metadata: Mapping[str, bytes] | None = None,
) -> None:
    """Writes uint8 ``[H, W]`` or ``[H, W, 3]`` in the format of the path's suffix.

    The file is written whole or not at all, and missing folders are made. PNG, BMP, TIFF and WebP are
    written without loss (WebP has no grey: it reads back as RGB), JPEG and AVIF at quality 95
    without chroma subsampling.

    Args:
        path: the file to write.
        image: the colours.
        alpha: uint8 ``[H, W]``; JPEG and BMP hold none, and a logged warning says so.
        metadata: see `Photo`; BMP holds none, and TIFF files get the profile alone.

    Raises:
        InputError: the suffix is none of `FORMATS`, the array is no such image, or the file can't be
            written.
    """
    path, kind = pathlib.Path(path), _find_format(path)
    if (
        image.dtype != np.uint8
        or image.shape[2:] not in ((), (3,))
        or image.ndim < 2
        or not image.size
    ):
        raise InputError(
            f"an image to write is {image.dtype}{list(image.shape)}: it must be uint8 [H, W] or [H, W, 3]."
        )
    options = dict(_SAVE_OPTIONS.get(kind, {}))
    options |= {
        key: value for key, value in (metadata or {}).items() if key in _METADATA.get(kind, ())
    }
    if kind == "WEBP" and image.ndim == 2:
        options.pop("icc_profile", None)  # a profile of grey does not suit the RGB that WebP holds
    if alpha is not None and kind not in _ALPHA:
        _log.warning("%s: alpha is dropped, since %s holds none, unlike .png.", path, kind)
        alpha = None
    pixels = Image.fromarray(image)
    if alpha is not None:
        pixels.putalpha(Image.fromarray(alpha))
    # Encoded in memory, since Pillow's encoders of JPEG and BMP ignore what a full disk refuses.
    file = io.BytesIO()
    try:
        pixels.save(file, kind, **options)
    except (
        OSError,
        ValueError,
    ) as error:  # for example, the format cannot hold images of that size
        raise InputError(f"{path} can't be written as {kind}: {error}") from error
    write_file(path, file.getvalue())


def check_output(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Checks before long work that `write_image` can write an image of `size` (height, width) to `path`.

    Missing folders are made.

    Raises:
      InputError: the suffix is none of `FORMATS`, the format or the machine's memory holds no images of
        that size, or the file system refuses.
    """
    longest = _LONGEST.get(_find_format(path))
    if longest and max(size) > longest:
        raise InputError(
            f"{path} would have {size[1]}×{size[0]} pixels: a side of such a file has at most {longest}; "
            ".png and .tif have no such limit."
        )
    check_memory(os.fspath(path), size)
    check_writable(path)


def _find_format(path: str | os.PathLike[str]) -> str:
    """Returns the format that `write_image` will give to `path`.

    Raises:
        InputError: the suffix is none of `FORMATS`.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path} must end in one of {', '.join(FORMATS)}.")
    return FORMATS[suffix]


def _to_uint8(image: Image.Image, path: str) -> np.ndarray:
    """Converts an image of any Pillow mode to an array by the rules of `read_image`."""
    match image.mode:
        case "1" | "L" | "LA":
            return np.array(image.convert("L"))
        case "P" | "PA":
            return np.array(image.convert("RGBA").convert("RGB"))
        case "RGB" | "RGBA" | "RGBX" | "CMYK" | "YCbCr":
            return np.array(image.convert("RGB"))
        case "I;16" | "I;16B":
            return (np.array(image) >> 8).astype(np.uint8)
        case "F":
            values = np.array(image)
            if values.min() >= 0 and values.max() <= 1:  # false for NaN as well
                return np.floor(values * 255 + 0.5).astype(np.uint8)
            raise InputError(
                f"{path} has float samples from {values.min()} to {values.max()}: they must lie in [0, 1]."
            )
    raise InputError(
        f"{path} has pixels of Pillow's mode {image.mode}: they must be grey, RGB, CMYK or YCbCr."
    )
