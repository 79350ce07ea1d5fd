"""TIFF files: encoding 16 bits, which Pillow does for opaque grey alone, and counting strips (TIFF 6.0)."""

import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from sesr_jax.errors import InputError

_ROWS = 64  # of a strip
_MOST = 2**32
"""The bytes that the offsets of a TIFF file reach."""

_DEFLATE, _DIFFERENCES, _INCH, _UNASSOCIATED = 8, 2, 2, 2
_GREY, _RGB = 1, 2
_SEPARATE = 2
"""The planar configuration in which each channel has strips of its own."""


def read_sides(file: TiffImageFile) -> tuple[int, int]:
    """Returns the height and the width of an opened file, as it is stored."""
    return file.tag_v2[ExifTags.Base.ImageLength], file.tag_v2[ExifTags.Base.ImageWidth]


def count_strips(file: TiffImageFile) -> tuple[int, int]:
    """Returns how many strips or tiles an opened file says to have, and of how many its size consists."""
    tags = file.tag_v2
    height, width = read_sides(file)
    is_separate = tags.get(ExifTags.Base.PlanarConfiguration) == _SEPARATE
    planes = tags.get(ExifTags.Base.SamplesPerPixel, 1) if is_separate else 1
    if ExifTags.Base.TileOffsets in tags:
        across = -(-width // max(1, tags[ExifTags.Base.TileWidth]))
        down = -(-height // max(1, tags[ExifTags.Base.TileLength]))
        return len(tags[ExifTags.Base.TileOffsets]), planes * across * down
    rows = tags.get(ExifTags.Base.RowsPerStrip, height)
    return len(tags[ExifTags.Base.StripOffsets]), planes * -(-height // max(1, rows))


def encode_tiff(pixels: np.ndarray, alpha: np.ndarray | None, options: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a TIFF file; grey with alpha becomes RGB, since few programs read it.

    Args:
        pixels: uint16, ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB).
        alpha: uint16 ``[H, W]``, or None.
        options: those of `metadata.find_save_options` for TIFF.

    Raises:
        InputError: the file would be larger than 4 GiB.
    """
    samples = pixels if pixels.ndim == 3 else pixels[..., None]
    if alpha is not None:
        samples = np.concatenate(
            [np.broadcast_to(samples, (*alpha.shape, 3)), alpha[..., None]], -1
        )
    height, width, count = samples.shape
    strips = [_pack_rows(samples[top : top + _ROWS]) for top in range(0, height, _ROWS)]
    lengths = [len(strip) for strip in strips]
    directory = _make_directory(options)
    for tag in (ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts):
        directory.tagtype[tag] = TiffTags.LONG
    for tag, value in (
        (ExifTags.Base.ImageWidth, width),
        (ExifTags.Base.ImageLength, height),
        (ExifTags.Base.BitsPerSample, (16,) * count),
        (ExifTags.Base.Compression, _DEFLATE),
        (ExifTags.Base.PhotometricInterpretation, _GREY if count == 1 else _RGB),
        (ExifTags.Base.StripOffsets, tuple(np.cumsum([0, *lengths[:-1]]).tolist())),
        (ExifTags.Base.SamplesPerPixel, count),
        (ExifTags.Base.RowsPerStrip, min(_ROWS, height)),
        (ExifTags.Base.StripByteCounts, tuple(lengths)),
        (ExifTags.Base.Predictor, _DIFFERENCES),
    ):
        directory[tag] = value
    if alpha is not None:
        directory[ExifTags.Base.ExtraSamples] = _UNASSOCIATED
    file = io.BytesIO()
    directory.save(file)  # which counts the offsets from its own end
    size = file.tell() + sum(lengths)
    if size >= _MOST:
        raise InputError(
            f"an image of {width}×{height} takes {size / 1e9:.1f} GB as TIFF, which holds 4.3; write .png."
        )
    return b"".join([file.getvalue(), *strips])


def _pack_rows(rows: np.ndarray) -> bytes:
    """Compresses the differences of neighbouring pixels, modulo 2¹⁶."""
    return zlib.compress(np.diff(rows, axis=1, prepend=np.uint16(0)).astype("<u2").tobytes(), 6)


def _make_directory(options: Mapping[str, Any]) -> ImageFileDirectory_v2:
    """Returns the directory of an image, with its metadata alone."""
    directory = ImageFileDirectory_v2()
    exif: Image.Exif = options["exif"]
    for tag, value in exif.items():
        directory[tag] = value
    for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if tag in exif:
            directory[tag] = exif.get_ifd(tag)
    if dpi := options.get("dpi"):
        directory[ExifTags.Base.XResolution], directory[ExifTags.Base.YResolution] = dpi
        directory[ExifTags.Base.ResolutionUnit] = _INCH
    if profile := options.get("icc_profile"):
        directory[ExifTags.Base.InterColorProfile] = profile
    if text := options.get("description"):
        directory[ExifTags.Base.ImageDescription] = text
    return directory
