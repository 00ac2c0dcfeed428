"""From the bytes of a file to its picture: grey or RGB, 8 bits, upright, or refused with the reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from PIL import Image, UnidentifiedImageError
from PIL.GifImagePlugin import GifImageFile
from PIL.TiffImagePlugin import TiffImageFile

from analysis.pictures.depth import bits_per_channel
from analysis.pictures.errors import PictureError
from analysis.pictures.formats import HEAD_BYTES, READ, kind_of, picture_format
from analysis.pictures.jpeg import profile_of

__all__ = ["Picture", "note_counts", "read_picture"]

# Bytes before the first chunk.
_PNG_SIGNATURE = 8
# What Pillow refuses where it is large. The profile is taken out here.
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_LARGEST_PROFILE = 32 * 2**20
# Numbers of tags in TIFF 6.0, which Exif shares.
_ORIENTATION = 0x0112
_SUBFILE_TYPE = 254
# What the orientation mark asks for (Exif 2.3, table 6), by its value.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SEE_THROUGH = "is see-through; lay it over the background that it is meant to be seen on"
_GREY = {"1", "L", "LA"}
_COLOUR = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


@dataclass(frozen=True)
class Picture:
    """A picture as it is used.

    Parameters
    ----------
    image : PIL image
        Mode "L" or "RGB", 8 bits, upright.
    format, mode : str
        Pillow's names of what the file held.
    profile : bytes
        The embedded colour profile; empty where there is none.
    notes : tuple of str
        What was changed on the way; each completes "an image that ...".
    inks : PIL image, optional
        The picture upright in CMYK, for a profile of its inks.
    """

    image: Image.Image
    format: str
    mode: str
    profile: bytes = b""
    notes: tuple[str, ...] = ()
    inks: Image.Image | None = None

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height


def read_picture(content: bytes, *, name: str = "", most_px: int | None = None) -> Picture:
    """Read a file to its last pixel.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        Its name; only tells camera raws from TIFF.
    most_px : int, optional
        Largest width and height.

    Raises
    ------
    PictureError
        What is wrong and the remedy, as the rest of a sentence that begins with the file's name.
    """
    found = picture_format(content[:HEAD_BYTES], name)
    if found is None:
        kind = kind_of(content[:HEAD_BYTES], name)
        raise PictureError(f"cannot be read as an image: it is a kind of file that is not read ({kind}); give a PNG")
    profile = None
    if found == "PNG":
        profile, content = _profile_of_png(content), _without_text(content)
    elif found == "JPEG":
        profile = profile_of(content)
    try:
        with Image.open(io.BytesIO(content), formats=READ) as opened:
            return _picture(opened, content, found, profile, most_px)
    except PictureError:
        raise
    except UnidentifiedImageError:
        # Its own message names an object in memory.
        raise PictureError(f"cannot be read as an image, perhaps cut short or damaged (it begins as {found})") from None
    # Whatever a decoder's own code runs into on a damaged file: there is no list of it.
    except Exception as error:
        raise PictureError(f"cannot be read as an image, perhaps cut short or damaged ({error})") from error


def _picture(opened: Image.Image, content: bytes, found: str, profile: bytes | None, most_px: int | None) -> Picture:
    # The size is in the header: a picture that would unpack to gigabytes is refused before it does.
    if most_px is not None and max(opened.size) > most_px:
        raise PictureError(f"is {opened.width}x{opened.height}; allowed are {most_px} pixels a side")
    _check_depth(bits_per_channel(content, found, opened), opened.mode)
    has_more = _has_more_pictures(opened)
    if isinstance(opened, GifImageFile) and opened.tile[0].extents != (0, 0, *opened.size):
        # Pillow fills the rest with a colour of its own.
        raise PictureError(_SEE_THROUGH)
    mode = opened.mode
    if profile is None:
        profile = opened.info.get("icc_profile") or b""
    # Pillow sets a TIFF upright while it loads.
    is_turned = isinstance(opened, TiffImageFile) and opened.tag_v2.get(_ORIENTATION) in _TURNS
    opened.load()
    notes = []
    image, inks = _without_alpha(opened), opened.copy() if mode == "CMYK" else None
    if mode == "CMYK":
        notes.append("is CMYK and is shown as RGB")
    if (turn := _TURNS.get(_orientation(opened))) is not None:
        if found == "WEBP":
            # Pillow and other tools follow the mark, Chromium does not: nobody knows what was meant.
            raise PictureError(
                "is a WebP with an orientation mark, which some programs follow and others do not; turn the pixels and "
                "drop the mark"
            )
        image, is_turned = image.transpose(turn), True
        inks = inks and inks.transpose(turn)
    if is_turned:
        notes.append("is stored turned and is set upright as its mark says")
    if has_more:
        notes.append("holds further pictures (a preview or a gain map), which are left out")
    return Picture(image, found, mode, profile, tuple(notes), inks)


def _check_depth(bits: int, mode: str) -> None:
    if bits > 8 or mode not in _GREY | _COLOUR:
        depth = f"{bits} bits" if bits > 8 else f"the pixels of mode {mode!r}"
        raise PictureError(f"has {depth} per channel; convert it to 8 bits per channel in grey or RGB")


def _has_more_pictures(opened: Image.Image) -> bool:
    """Return whether there are previews beside the picture; several pictures of one rank are refused."""
    count = getattr(opened, "n_frames", 1)
    if count == 1 or opened.format == "MPO":
        return count > 1
    if not isinstance(opened, TiffImageFile):
        raise PictureError(f"is an animation of {count} frames; give one picture a file")
    for page in range(count):
        opened.seek(page)
        # Bit 0: a smaller copy of another page.
        is_small = bool(opened.tag_v2.get(_SUBFILE_TYPE, 0) & 1)
        if is_small == (page == 0):
            raise PictureError(f"holds {count} pages; give one picture a file")
    opened.seek(0)
    return True


def _orientation(opened: Image.Image) -> int:
    """Return the mark of Exif, 1 (upright) where there is none that can be read; Pillow turns TIFF by itself."""
    raw = opened.info.get("exif")
    if not raw or opened.format == "TIFF":
        return 1
    exif = Image.Exif()
    try:
        exif.load(raw)
        value = exif.get(_ORIENTATION, 1)
    # As browsers do: a damaged mark is no mark.
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


def _without_alpha(opened: Image.Image) -> Image.Image:
    if opened.has_transparency_data:
        # One channel has one pair of extremes; several would have a pair each.
        clear = opened.convert("RGBA")
        lowest, _ = cast("tuple[float, float]", clear.getchannel("A").getextrema())
        if lowest < 255:
            raise PictureError(_SEE_THROUGH)
        if opened.mode not in _GREY:
            return clear.convert("RGB")
    return opened.convert("L" if opened.mode in _GREY else "RGB")


def _without_text(content: bytes) -> bytes:
    """Drop the text and the profile of a PNG: workflows of several megabytes are no error, and no pixels."""
    chunks = list(_chunks(content))
    if not any(kind in _TEXT_CHUNKS for kind, _, _ in chunks):
        return content
    kept = [content[start:end] for kind, start, end in chunks if kind not in _TEXT_CHUNKS]
    rest = chunks[-1][2]
    return b"".join([content[:_PNG_SIGNATURE], *kept, content[rest:]])


def _profile_of_png(content: bytes) -> bytes:
    """Return the colour profile of a PNG; one that cannot be unpacked is none, as for browsers."""
    for kind, start, end in _chunks(content):
        if kind == b"iCCP":
            packed = content[start + 8 : end - 4].partition(b"\0")[2]
            try:
                return zlib.decompressobj().decompress(packed[1:], _LARGEST_PROFILE)
            except zlib.error:
                return b""
    return b""


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of a PNG's whole chunks."""
    at = _PNG_SIGNATURE
    while at + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length
        if end > len(content):
            return
        yield kind, at, end
        at = end


def note_counts(notes: Iterable[str]) -> list[str]:
    """Return a line for each kind of note: how many images it is true of."""
    return [f"{count} image(s): {note}" for note, count in sorted(Counter(notes).items())]
