"""How many bits a channel has in the file: decoders hand out 8 and say nothing about the rest."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["bits_per_channel"]

# The number of the tag in TIFF 6.0.
_BITS_PER_SAMPLE = 258
# Start of frame: 0xC0 to 0xCF without the tables DHT, JPG and DAC.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def bits_per_channel(content: bytes, picture: str, opened: Image.Image | None = None) -> int:
    """Return the largest number of bits of a channel.

    Parameters
    ----------
    content : bytes
        The whole file.
    picture : str
        Its format, one of `analysis.pictures.formats.READ`.
    opened : PIL image, optional
        The file as Pillow opened it; asked for TIFF alone.
    """
    if picture == "PNG":
        return content[24] if len(content) > 24 else 8
    if picture == "JPEG":
        return next(_jpeg_precisions(content), 8)
    if picture == "AVIF":
        return _avif_bits(content)
    if isinstance(opened, TiffImageFile):
        return max(opened.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    return 8


def _jpeg_precisions(content: bytes) -> Iterator[int]:
    """Yield the precision that the frame of a JPEG states."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAME_MARKERS and at + 4 < len(content):
            yield content[at + 4]
        if marker == 0xDA:
            return
        at += 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]


def _avif_bits(content: bytes) -> int:
    """Read the codec configuration's flags for 10 and 12 bits."""
    at = content.find(b"av1C")
    flags = content[at + 6] if 0 <= at < len(content) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
