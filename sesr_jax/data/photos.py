"""Photos: images with their alpha channel and their metadata, of 8 or 16 bits.

    write_photo("out.tif", read_photo("in.png"))

What a file holds and another format does not is dropped with a logged warning.
"""

import dataclasses
import io
import logging
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from sesr_jax.data.canvas import Canvas
from sesr_jax.data.image_files import FORMATS, check_memory, list_animation_frames, open_image
from sesr_jax.data.images import to_uint8
from sesr_jax.data.metadata import find_save_options, read_metadata
from sesr_jax.data.png import encode_png, to_rgba_of_octets
from sesr_jax.data.tiff import encode_tiff
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
_DEEP = ("PNG", "TIFF")

_LONGEST = {"AVIF": 65_536, "JPEG": 65_500, "WEBP": 16_383}
"""The largest side in pixels, for formats whose limit images can reach."""

_PROFILED = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I;16B")
"""The modes whose samples are kept unchanged, so that the file's colour profile still applies to them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photo:
    """An image with the alpha channel and the metadata of its file.

    Attributes:
      pixels: uint8 or uint16, ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB), with codes up to 255 or 65535.
      alpha: ``[H, W]`` of the same dtype, the largest code where the image is opaque; None where the file has
        no alpha.
      metadata: as `sesr_jax.data.metadata` has them.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_photo(path: str | os.PathLike[str] | bytes) -> Photo:
    """Reads an image as `read_image` does, with alpha and metadata, and all 16 bits of PNG and TIFF files.

    CMYK with a colour profile becomes sRGB by that profile. A warning is logged for all that is lost.

    Raises:
        InputError: the file is an animation; or see `read_image`.
    """
    with open_image(path) as (file, name):
        if frames := list_animation_frames(file):
            raise InputError(
                f"{name} is an animation of {len(frames)} frames, where one image is expected."
            )
        if (pages := getattr(file, "n_frames", 1)) > 1:
            _log.warning("%s has %d images, of which the first one is read.", name, pages)
        if (bits := file.info.get("bit_depth", 8)) > 8:  # of HEIF
            _log.warning("%s has samples of %d bits, of which 8 are read.", name, bits)
        tile = file.tile[0].args if file.tile else ""
        rawmode = tile if isinstance(tile, str) else str(tile[0]) if tile else ""
        image = ImageOps.exif_transpose(file)
        image.load()
        metadata = read_metadata(file, path, name)
        if "xmp" in metadata and (
            xmp := image.info.get("xmp")
        ):  # with the orientation that was applied
            metadata["xmp"] = xmp.encode() if isinstance(xmp, str) else xmp
        if image.mode not in _PROFILED and "icc_profile" in metadata:
            image = _apply_profile(image, metadata.pop("icc_profile"), name)
        if _is_deep(file.format, rawmode):
            if (deep := _read_deep(path, image, rawmode)) is not None:
                return Photo(pixels=deep[0], alpha=deep[1], metadata=metadata)
            _log.warning("%s has samples of 16 bits, of which the high ones are read.", name)
    return Photo(pixels=to_uint8(image, name), alpha=_read_alpha(image, rawmode), metadata=metadata)


def _apply_profile(image: Image.Image, profile: bytes, name: str) -> Image.Image:
    """Converts an image to sRGB by its profile; where that does not suit, returns it with a warning."""
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        assert converted is not None  # It is None only where the image is changed in place.
        return converted
    except (ImageCms.PyCMSError, OSError, ValueError):
        _log.warning("%s has a colour profile that does not suit it, which is dropped.", name)
        return image


def _is_deep(kind: str | None, rawmode: str) -> bool:
    """Returns whether a file has samples of 16 bits; in a BMP file they are those of a whole pixel."""
    return ";16" in rawmode and kind != "BMP"


def _read_deep(
    path: str | os.PathLike[str] | bytes, image: Image.Image, rawmode: str
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Returns the colours and the alpha in 16 bits; None where Pillow cannot give them.

    Pillow reads RGB in 8 bits, of samples in either order of their bytes. Those of the wrong order are the
    low bytes.
    """
    if image.mode.startswith("I;16"):
        codes = np.array(image).astype(np.uint16)
        key = image.info.get("transparency")
        return codes, None if key is None else np.where(codes == key, 0, 65535).astype(np.uint16)
    kind, _, order = rawmode.partition(";16")
    if kind == "LA":
        return _read_deep_grey_with_alpha(path)
    swapped = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.get(order)
    if kind not in ("RGB", "RGBA", "RGBX") or swapped is None:
        return None
    other = f"{kind};16{swapped}"
    with open_image(path) as (file, _):
        file.tile = [
            tile._replace(
                args=other if isinstance(tile.args, str) else (other, *(tile.args or ())[1:])
            )
            for tile in file.tile
        ]
        low = np.array(ImageOps.exif_transpose(file))
    codes = np.array(image).astype(np.uint16) << 8 | low
    colours = np.ascontiguousarray(codes[..., :3])
    if kind == "RGBA":
        return colours, np.ascontiguousarray(codes[..., 3])
    key = image.info.get("transparency")
    return colours, None if key is None else np.where((colours == key).all(-1), 0, 65535).astype(
        "u2"
    )


def _read_deep_grey_with_alpha(
    path: str | os.PathLike[str] | bytes,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a PNG file of grey and alpha in 16 bits as one of RGBA in 8: the high and low bytes of each."""
    content = path if isinstance(path, bytes) else pathlib.Path(path).read_bytes()
    with open_image(to_rgba_of_octets(content)) as (file, _):
        octets = np.array(ImageOps.exif_transpose(file)).astype(np.uint16)
    grey, alpha = (octets[..., at] << 8 | octets[..., at + 1] for at in (0, 2))
    return grey, alpha


def _read_alpha(image: Image.Image, rawmode: str) -> np.ndarray | None:
    if not image.has_transparency_data or image.mode.startswith("I;16"):
        return None
    key = image.info.get("transparency")
    if image.mode == "L" and isinstance(key, int):
        bits = {"L;2": 2, "L;4": 4}.get(rawmode, 8)  # Pillow widens the samples, and not the key
        shown = key * (255 // (2**bits - 1))
        return np.where(np.array(image) == shown, 0, 255).astype(np.uint8)
    return np.array(image.convert("RGBA").getchannel("A"))


def write_photo(path: str | os.PathLike[str], photo: Photo) -> None:
    """Writes a photo in the format of the path's suffix, and logs a warning for what that cannot hold.

    The file is written whole or not at all, and missing folders are made. PNG, BMP, TIFF and WebP are
    written without loss (WebP has no grey: it reads back as RGB), JPEG and AVIF at quality 95 without chroma
    subsampling. PNG and TIFF hold 16 bits.

    Raises:
        InputError: the suffix is none of `FORMATS`, the arrays are no such photo, or the file can't be
            written.
    """
    image = photo.pixels
    if (
        image.dtype not in (np.uint8, np.uint16)
        or image.shape[2:] not in ((), (3,))
        or image.ndim < 2
        or not image.size
    ):
        raise InputError(
            f"an image to write is {image.dtype}{list(image.shape)}: it must be uint8 or uint16, [H, W] or "
            "[H, W, 3]."
        )
    _write(path, image, photo.alpha, photo.metadata)


def write_canvas(
    path: str | os.PathLike[str],
    canvas: Canvas,
    *,
    alpha: np.ndarray | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes a canvas as `write_photo` does a photo; where there is alpha, the canvas gets it.

    Raises:
        InputError: the suffix is none of `FORMATS`, or the file can't be written.
    """
    _write(path, canvas.image, alpha, metadata or {})


def _write(
    path: str | os.PathLike[str],
    image: np.ndarray | Image.Image,
    alpha: np.ndarray | None,
    metadata: Mapping[str, Any],
) -> None:
    kind = find_format(path)
    if isinstance(image, Image.Image):
        is_grey, is_deep = image.mode == "L", False
    else:
        is_grey, is_deep = image.ndim == 2, image.dtype == np.uint16
    lost = []
    if alpha is not None and kind not in _ALPHA:
        lost.append("alpha")
        alpha = None
    if is_deep and kind not in _DEEP and isinstance(image, np.ndarray):
        lost.append("half of the 16 bits")
        image, alpha = to_8_bits(image), None if alpha is None else to_8_bits(alpha)
        is_deep = False
    options, lost_metadata = find_save_options(kind, metadata, is_grey=is_grey)
    warn_of_loss(path, lost + lost_metadata, kind)
    if is_deep and isinstance(image, np.ndarray):
        encoded = encode_png(image, alpha, metadata) if kind == "PNG" else None
        write_file(path, encoded or encode_tiff(image, alpha, options))
        return
    write_pillow(path, to_pillow(image, alpha), kind, options)


def warn_of_loss(path: str | os.PathLike[str], lost: Sequence[str], kind: str) -> None:
    """Logs a warning that lists what a format does not hold, if that is anything."""
    if lost:
        listed = " and ".join(filter(None, (", ".join(lost[:-1]), lost[-1])))
        verb = "are" if len(lost) > 1 else "is"
        _log.warning("%s: %s %s dropped, which %s does not hold.", path, listed, verb, kind)


def to_pillow(image: np.ndarray | Image.Image, alpha: np.ndarray | None) -> Image.Image:
    """Converts an image of 8 bits to Pillow's; one of Pillow's own gets the alpha in place."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def write_pillow(
    path: str | os.PathLike[str], image: Image.Image, kind: str, options: Mapping[str, Any]
) -> None:
    """Writes an image by Pillow's encoder of a format, with `options` beside the format's usual ones.

    Raises:
        InputError: the file can't be written.
    """
    # Encoded in memory, since Pillow's encoders of JPEG and BMP ignore what a full disk refuses.
    file = io.BytesIO()
    try:
        image.save(file, kind, **{**_SAVE_OPTIONS.get(kind, {}), **options})
    except (OSError, ValueError) as error:  # for example, the format holds no images of that size
        raise InputError(f"{os.fspath(path)} can't be written as {kind}: {error}") from error
    write_file(path, file.getvalue())


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes ``[H, W]`` or ``[H, W, 3]`` of uint8 or uint16, as `write_photo` does.

    Raises:
        InputError: see `write_photo`.
    """
    write_photo(path, Photo(pixels=image))


def to_8_bits(codes: np.ndarray) -> np.ndarray:
    """Rounds codes of 65535 to codes of 255; those of 255 stay as they are."""
    if codes.dtype == np.uint8:
        return codes
    return ((codes + np.uint32(128)) // 257).astype(np.uint8)


def check_output(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Checks before long work that `write_photo` can write an image of `size` (height, width) to `path`.

    Missing folders are made.

    Raises:
      InputError: the suffix is none of `FORMATS`, the format or the machine's memory holds no images of
        that size, or the file system refuses.
    """
    longest = _LONGEST.get(find_format(path))
    if longest and max(size) > longest:
        raise InputError(
            f"{path} would have {size[1]}×{size[0]} pixels: a side of such a file has at most {longest}; "
            ".png and .tif have no such limit."
        )
    check_memory(os.fspath(path), size)
    check_writable(path)


def find_format(path: str | os.PathLike[str]) -> str:
    """Returns the format that `write_photo` will give to `path`.

    Raises:
        InputError: the suffix is none of `FORMATS`.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path} must end in one of {', '.join(FORMATS)}.")
    return FORMATS[suffix]
