"""Finds JPEG files whose last pixels are missing although their markers are all there.

    if is_cut(content, decoded): ...

A decoder fills in what is missing without a word, where an end marker follows the cut.
"""

import io
import re

import numpy as np
from PIL import Image, ImageChops

_EXTRA = bytes(37 * i % 251 for i in range(200))
"""Bytes that are no marker, and no coefficients of an even block."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # behind coded pixels
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2

_FILL = 128
"""The code of every sample that a decoder fills in; in RGB that of luma."""

_TOLERANCE = 3
"""In codes: roundings, and the part of a block that the image does not show."""


def is_cut(content: bytes, decoded: Image.Image) -> bool:
    """Returns whether pixels are missing at the end of a JPEG file that ends with its marker (ITU-T T.81).

    Args:
      content: the file.
      decoded: what a decoder made of it; its end nearly always shows that nothing is missing.

    More bytes before the end marker change nothing in a whole file, since the decoder has stopped before
    them, and they become pixels where some are missing. Files of arithmetic coding, which few decoders read,
    are taken as whole.
    """
    kind, end = _find_end(content)
    if end is None or kind not in (*_SEQUENTIAL, _PROGRESSIVE):
        return False
    if kind == _PROGRESSIVE:  # each scan adds details to the whole image
        after = _decode(_insert(content, end), reduction=1)
        return ImageChops.difference(decoded, after).getbbox() is not None
    if not _may_be_filled(decoded):
        return False
    return _decode(content).tobytes() != _decode(_insert(content, end)).tobytes()


def _may_be_filled(image: Image.Image) -> bool:
    """Returns whether the last pixel or the last block is as a decoder would have filled it in."""
    width, height = image.size
    block = image.crop(((width - 1) // 8 * 8, (height - 1) // 8 * 8, width, height))
    planes = np.asarray(block if block.mode == "CMYK" else block.convert("L"), np.float32)
    found = np.stack([planes[-1, -1], planes.mean((0, 1))])
    return bool((np.abs(found - _FILL) <= _TOLERANCE).any())


def _insert(content: bytes, end: int) -> bytes:
    return content[:end] + _EXTRA + content[end:]


def _decode(content: bytes, reduction: int = 8) -> Image.Image:
    """Decodes all coded pixels, by default at an eighth of the size, which takes a 64th of the memory."""
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as file:
        if reduction > 1:
            file.draft(None, (-(-file.width // reduction), -(-file.height // reduction)))
        file.load()
        return file.copy()


def _find_end(content: bytes) -> tuple[int, int | None]:
    """Returns the kind of a JPEG file's frame, and the place of its end marker; None where it has none."""
    kind, place = 0, 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == _END:
            return kind, place
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            kind = marker
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == _SCAN:
            following = _MARKER.search(content, place)
            if following is None:
                return kind, None
            place = following.start(1) - 1
    return kind, place if content[place : place + 2] == b"\xff\xd9" else None
