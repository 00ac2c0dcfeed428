"""How many bits a channel has in the file: decoders hand out 8 and say nothing about the rest."""

from __future__ import annotations

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from analysis.pictures.jpeg import precision_of

__all__ = ["bits_per_channel"]

# The number of the tag in TIFF 6.0.
_BITS_PER_SAMPLE = 258


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
        return precision_of(content)
    if picture == "AVIF":
        return _avif_bits(content)
    if isinstance(opened, TiffImageFile):
        return max(opened.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    return 8


def _avif_bits(content: bytes) -> int:
    """Read the codec configuration's flags for 10 and 12 bits."""
    at = content.find(b"av1C")
    flags = content[at + 6] if 0 <= at < len(content) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
