"""What image files hold beside their pixels: reading it, and giving to each format what that can hold.

The metadata of an image are a mapping with these keys, where the file has them:

* "icc_profile", "exif", "xmp", "comment": bytes. EXIF is without the orientation, which is applied to the
  pixels, and without what depends on the size: its sides and the thumbnail.
* "dpi": the resolution along width and height, in dots per inch, where it is not that of a screen (72 or 96),
  which programs write that know none.
* "text": a PNG file's texts by their keywords.
* "colour_chunks": a PNG file's chunks that say what its samples mean, by their kind, such as ``b"gAMA"``.
"""

import io
import logging
import os
import struct
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from PIL import ExifTags, Image, PngImagePlugin

_log = logging.getLogger(__name__)

_XMP_TAG = 700
_SIZES = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
_STRUCTURE = (
    *range(254, 270),  # sizes, samples, compression
    *(
        273,
        274,
        277,
        278,
        279,
        280,
        281,
        284,
        290,
        291,
        292,
        293,
        297,
        301,
        317,
        318,
        319,
        320,
        321,
    ),
    *(322, 323, 324, 325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 347, 512, 513, 514),
    *(529, 530, 531, 532, _XMP_TAG, 34675),
)
"""The tags of an image's first directory that describe how a TIFF file stores it (TIFF 6.0)."""

_SCREEN = (72, 96)

_COLOUR_CHUNKS = (b"cHRM", b"cICP", b"gAMA", b"sRGB")
_SRGB_GAMMA = (45455).to_bytes(4, "big")

_HELD: Mapping[str, tuple[str, ...]] = {
    "AVIF": ("icc_profile", "exif", "xmp"),
    "BMP": ("dpi",),
    "JPEG": ("icc_profile", "exif", "xmp", "comment", "dpi"),
    "PNG": ("icc_profile", "exif", "xmp", "comment", "dpi", "text", "colour_chunks"),
    "TIFF": ("icc_profile", "exif", "xmp", "comment", "dpi"),
    "WEBP": ("icc_profile", "exif", "xmp"),
}
"""The metadata that each format is given."""

_MOST = {"exif": 65_533, "xmp": 65_504, "comment": 65_533}
"""The most bytes that a segment of a JPEG file holds of each."""

_NAMES = {
    "icc_profile": "the colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "comment": "the comment",
    "dpi": "the resolution",
    "text": "the text",
    "colour_chunks": "the meaning of colours",
}


def read_metadata(
    file: Image.Image, path: str | os.PathLike[str] | bytes, name: str
) -> dict[str, Any]:
    """Returns the metadata of a loaded image; damaged EXIF is dropped with a warning.

    Args:
        file: the opened image.
        path: where it was opened from.
        name: what messages call it.
    """
    info = file.info
    metadata: dict[str, Any] = {}
    try:
        if exif := _clean_exif(file):
            metadata["exif"] = exif
    except Exception:  # Pillow raises nearly anything on damaged bytes
        _log.warning("%s has damaged EXIF, which is dropped.", name)
    for key in ("icc_profile", "xmp", "comment"):
        if value := info.get(key):
            metadata[key] = value.encode() if isinstance(value, str) else value
    if dpi := _read_dpi(info.get("dpi")):
        metadata["dpi"] = dpi
    if isinstance(file, PngImagePlugin.PngImageFile):
        texts = {key: str(text) for key, text in file.text.items() if key != "XML:com.adobe.xmp"}
        if comment := texts.pop("Comment", ""):
            metadata["comment"] = comment.encode()
        if texts := {k: v for k, v in texts.items() if not k.startswith("Raw profile type ")}:
            metadata["text"] = texts
        with io.BytesIO(path) if isinstance(path, bytes) else open(path, "rb") as raw:
            if chunks := _read_colour_chunks(raw):
                metadata["colour_chunks"] = chunks
    return metadata


def _clean_exif(file: Image.Image) -> bytes:
    """Returns EXIF without what depends on size and storage; empty where there is none."""
    if exif := file.info.get("exif"):
        Image.Exif().load(exif)  # which raises where `getexif` passes over
    tags = file.getexif()
    found = Image.Exif()
    found.endian = tags.endian
    for key, value in tags.items():
        if key not in _STRUCTURE and key not in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            found[key] = value
    for key in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        details = {k: v for k, v in tags.get_ifd(key).items() if k not in _SIZES}
        if details:
            found.get_ifd(key).update(details)
            found[key] = details
    return found.tobytes() if len(found) else b""


def _read_dpi(dpi: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(each) for each in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (1 < across <= 65_535 and 1 < down <= 65_535) or round(across) in _SCREEN:
        return None
    return across, down


def _read_colour_chunks(raw: BinaryIO) -> dict[bytes, bytes]:
    """Returns what a PNG file says of its samples' meaning, where that is not sRGB."""
    chunks = {}
    raw.seek(8)
    while len(header := raw.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IDAT":
            break
        if kind in _COLOUR_CHUNKS and length <= 32:
            chunks[kind] = raw.read(length)
            length = 0
        raw.seek(length + 4, io.SEEK_CUR)
    is_srgb = b"sRGB" in chunks or chunks.get(b"gAMA") == _SRGB_GAMMA
    return {} if is_srgb and b"cICP" not in chunks else chunks


def find_save_options(
    kind: str, metadata: Mapping[str, Any], *, is_grey: bool
) -> tuple[dict[str, Any], list[str]]:
    """Returns the options with which Pillow writes `metadata`, and what the format cannot hold.

    Args:
        kind: Pillow's name of the format.
        metadata: those of `read_metadata`.
        is_grey: whether the pixels are grey; their profile does not suit formats that have RGB alone.
    """
    held = {key: value for key, value in metadata.items() if key in _HELD[kind]}
    if kind in ("AVIF", "WEBP") and is_grey:
        held.pop("icc_profile", None)
    if kind == "JPEG":
        held = {k: v for k, v in held.items() if k not in _MOST or len(v) <= _MOST[k]}
    lost = [name for key, name in _NAMES.items() if key in metadata and key not in held]
    if "icc_profile" in held and b"cICP" not in metadata.get("colour_chunks", {}):
        lost = [name for name in lost if name != _NAMES["colour_chunks"]]  # the profile says it
    if kind == "PNG":
        return _find_png_options(held), lost
    if kind == "TIFF":
        return _find_tiff_options(held), lost
    return held, lost


def _find_png_options(held: dict[str, Any]) -> dict[str, Any]:
    chunks = PngImagePlugin.PngInfo()
    for kind, data in held.pop("colour_chunks", {}).items():
        chunks.add(kind, data)
    for key, text in list_png_texts(held):
        chunks.add_itxt(key, text)
    options = {key: value for key, value in held.items() if key not in ("text", "comment", "xmp")}
    return {**options, "pnginfo": chunks}


def list_png_texts(metadata: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yields the keyword and the text of each text of a PNG file, comment and XMP among them."""
    if comment := metadata.get("comment"):
        yield "Comment", comment.decode("utf-8", "replace")
    if xmp := metadata.get("xmp"):
        yield "XML:com.adobe.xmp", xmp.decode("utf-8", "replace")
    yield from metadata.get("text", {}).items()


def _find_tiff_options(held: dict[str, Any]) -> dict[str, Any]:
    exif = Image.Exif()
    if "exif" in held:
        exif.load(held.pop("exif"))
    if "xmp" in held:
        exif[_XMP_TAG] = held.pop("xmp")
    if "comment" in held:
        held["description"] = held.pop("comment").decode("utf-8", "replace")
    if ExifTags.IFD.Exif in exif or ExifTags.IFD.GPSInfo in exif:
        held["compression"] = None  # libtiff, which compresses, writes no directories inside
    return {**held, "exif": exif}
