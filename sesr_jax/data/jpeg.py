"""Finds JPEG files whose last pixels are missing although their markers are all there.

    if is_cut(content): ...

A decoder fills in what is missing without a word, where an end marker follows the cut.
"""

import io
import re

from PIL import Image, ImageChops

_EXTRA = bytes(37 * i % 251 for i in range(200))
"""Bytes that are no marker, and no coefficients of an even block."""

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # behind coded pixels
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2

_FILL = 128
"""The code of every sample that a decoder fills in; a rounding apart."""


def is_cut(content: bytes) -> bool:
    """Returns whether pixels are missing at the end of a JPEG file that ends with its marker (ITU-T T.81).

    More bytes before the end marker change nothing in a whole file, since the decoder has stopped before
    them, and they become pixels where some are missing. Files of arithmetic coding, which few decoders read,
    are taken as whole.
    """
    kind, end = _find_end(content)
    if end is None or kind not in (*_SEQUENTIAL, _PROGRESSIVE):
        return False
    if kind == _PROGRESSIVE:  # each scan adds details to the whole image
        before = _decode(content, reduction=1)
        after = _decode(_insert(content, end), reduction=1)
        return ImageChops.difference(before, after).getbbox() is not None
    before = _decode(content)
    width, height = before.size
    corner = before.crop((width - 1, height - 1, width, height)).tobytes()
    if any(abs(code - _FILL) > 1 for code in corner):
        return False
    return before.tobytes() != _decode(_insert(content, end)).tobytes()


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
