"""The segments of a JPEG before its pixels: precision and colour profile, as browsers read them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["precision_of", "profile_of"]

# Start of frame: 0xC0 to 0xCF without the tables DHT, JPG and DAC.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _APP2, _FILL = 0xDA, 0xE2, 0xFF
_ICC = b"ICC_PROFILE\0"


def precision_of(content: bytes) -> int:
    """Return the bits of a sample that the frame states; 8 where there is none."""
    return next((body[0] for marker, body in _segments(content) if marker in _FRAME_MARKERS and body), 8)


def profile_of(content: bytes) -> bytes:
    """Return the colour profile; nothing where a part of it is missing.

    It comes in parts numbered from 1. Of two parts with one number the first counts, as in Chromium; Pillow strings
    both together, which is no profile.
    """
    parts: dict[int, bytes] = {}
    count = 0
    for marker, body in _segments(content):
        if marker == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 1:
            number, total = body[len(_ICC)], body[len(_ICC) + 1]
            count = count or total
            parts.setdefault(number, body[len(_ICC) + 2 :])
    wanted = range(1, count + 1)
    return b"".join(parts[number] for number in wanted) if parts.keys() == set(wanted) else b""


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the segments up to the first scan, and of that."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _FILL:
            at += 1
            continue
        end = at + 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
        yield marker, content[at + 4 : end]
        if marker == _SCAN:
            return
        at = end
