"""The light levels of HDR10: those of the display on which a video was mastered, and of its content.

FFmpeg attaches them to frames (libavutil's mastering_display_metadata.h), and x264 takes them as text
(SMPTE ST 2086 and CTA-861.3).
"""

import struct
from typing import Any

_RATIONALS = struct.Struct("20i2i")
"""Fractions: x and y of red, green, blue and white, the least and the most luminance; and which are set."""

_LEVELS = struct.Struct("2I")

_PLACE, _LUMINANCE = 50_000, 10_000
"""The units of a coordinate and of a candela per square metre."""

_MOVING = ("DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_METADATA", "DOVI_RPU_BUFFER")


def find_light_levels(frame: Any) -> str:
    """Returns the static light levels of a frame as x264's parameters; "" where there are none."""
    found = {data.type.name: bytes(data) for data in frame.side_data}
    parts = []
    display = found.get("MASTERING_DISPLAY_METADATA", b"")
    if len(display) >= _RATIONALS.size:
        *numbers, has_places, has_luminance = _RATIONALS.unpack_from(display)
        values = [a / b if b else 0.0 for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        places = [round(_PLACE * value) for value in values[:8]]
        is_possible = max(map(abs, places)) <= _PLACE and values[8] < values[9]
        if has_places and has_luminance and is_possible:
            red, green, blue, white = (
                f"({x},{y})" for x, y in zip(*[iter(places)] * 2, strict=True)
            )
            least, most = (round(_LUMINANCE * value) for value in values[8:])
            parts.append(f"mastering-display=G{green}B{blue}R{red}WP{white}L({most},{least})")
    levels = found.get("CONTENT_LIGHT_LEVEL", b"")
    if len(levels) >= _LEVELS.size:
        most, mean = _LEVELS.unpack_from(levels)
        parts.append(f"cll={most},{mean}")
    return ":".join(parts)


def has_moving_light_levels(frame: Any) -> bool:
    """Returns whether a frame has light levels of its own, as HDR10+ and Dolby Vision have."""
    return any(data.type.name in _MOVING for data in frame.side_data)
