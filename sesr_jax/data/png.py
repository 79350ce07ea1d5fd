"""PNG files of 16 bits, which Pillow writes for grey alone (PNG specification, third edition)."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sesr_jax.data.metadata import list_png_texts

_ROWS = 64  # filtered at once
_PAETH = 4


def encode_png(pixels: np.ndarray, alpha: np.ndarray | None, metadata: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a PNG file.

    Args:
        pixels: uint16, ``[H, W]`` (grey) or ``[H, W, 3]`` (RGB).
        alpha: uint16 ``[H, W]``, or None.
        metadata: as `sesr_jax.data.metadata` has them.
    """
    height, width = pixels.shape[:2]
    colour_type = (2 if pixels.ndim == 3 else 0) + (4 if alpha is not None else 0)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", _make_chunk(b"IHDR", header)]
    for kind, data in metadata.get("colour_chunks", {}).items():
        parts.append(_make_chunk(kind, data))
    if profile := metadata.get("icc_profile"):
        parts.append(_make_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)))
    if dpi := metadata.get("dpi"):
        across, down = (round(each / 0.0254) for each in dpi)  # to dots per metre
        parts.append(_make_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if exif := metadata.get("exif"):
        parts.append(_make_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    for key, text in list_png_texts(metadata):
        parts.append(_make_chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode()))
    packer = zlib.compressobj(6)
    packed = (packer.compress(rows) for rows in _filter_rows(pixels, alpha))
    parts += [_make_chunk(b"IDAT", data) for data in packed if data]
    parts += [_make_chunk(b"IDAT", packer.flush()), _make_chunk(b"IEND", b"")]
    return b"".join(parts)


def to_rgba_of_octets(content: bytes) -> bytes:
    """Returns a PNG file of 16-bit grey and alpha as one of 8-bit RGBA, whose pixels have the same bytes."""
    header = content[16:24] + b"\x08\x06" + content[26:29]
    return content[:8] + _make_chunk(b"IHDR", header) + content[33:]


def _make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _filter_rows(pixels: np.ndarray, alpha: np.ndarray | None) -> Iterator[bytes]:
    """Yields bands of rows, each behind its filter's number: what Paeth's predictor leaves over (9.4)."""
    samples = (pixels.shape[2] if pixels.ndim == 3 else 1) + (alpha is not None)
    above = np.zeros((1, pixels.shape[1] + 1, 2 * samples), np.int16)
    for top in range(0, len(pixels), _ROWS):
        band = pixels[top : top + _ROWS].reshape(-1, pixels.shape[1], samples - (alpha is not None))
        if alpha is not None:
            band = np.concatenate([band, alpha[top : top + _ROWS, :, None]], axis=-1)
        octets = np.ascontiguousarray(band.astype(">u2")).view(np.uint8).astype(np.int16)
        octets = np.pad(octets, ((0, 0), (1, 0), (0, 0)))  # a pixel of zeros on the left
        whole = np.concatenate([above, octets])
        left, up, corner = whole[1:, :-1], whole[:-1, 1:], whole[:-1, :-1]
        far = [np.abs(up - corner), np.abs(left - corner), np.abs(left + up - 2 * corner)]
        guess = np.where(
            (far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], up, corner)
        )
        rest = (octets[:, 1:] - guess).astype(np.uint8).reshape(len(octets), -1)
        yield np.pad(rest, ((0, 0), (1, 0)), constant_values=_PAETH).tobytes()
        above = octets[-1:]
