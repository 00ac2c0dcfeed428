"""The picture as a colour-managed browser shows it, in sRGB: profiles of every kind, and the marks of PNG and AVIF.

The order of a PNG's marks is that of the specification's third edition, section 4.3: cICP, then iCCP, then sRGB, then
gAMA and cHRM; one that browsers cannot follow leaves the word to the next. Of an AVIF's two a profile goes before code
points. What has no mark is sRGB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
from PIL import Image, ImageCms

from analysis.pictures.errors import PictureError
from analysis.pictures.pixels import Picture, read_picture

__all__ = ["PIXEL_RULES", "Colours", "colours_of", "in_srgb", "read_in_srgb"]

# Raised when a file would give other pixels than before, so that what is kept of its pixels is computed anew.
PIXEL_RULES = 4
_SRGB = ImageCms.createProfile("sRGB")
# CIE 1931 x and y of white, red, green and blue.
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_SMPTE = (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)
_PRIMARIES = {
    1: (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06),  # sRGB's too
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: _SMPTE,
    7: _SMPTE,
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_PRIMARY_NAMES = {
    1: "BT.709",
    4: "BT.470 M",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "film",
    9: "BT.2020",
    10: "XYZ",
    11: "DCI P3",
    12: "Display P3",
    22: "EBU 3213",
}
_HDR = {16: "PQ", 18: "HLG"}
# The modes of pictures that a profile of this space is for: a grey picture is a colour picture of three equal channels.
_GREY = {"1", "L", "LA"}
_MODES = {"GRAY": _GREY, "RGB": _GREY | {"RGB", "RGBA", "RGBX", "P", "PA", "YCbCr"}, "CMYK": {"CMYK"}}

# How far the product of a gamma and 2.2 may be off 1.
_NEAR_SRGB = 0.05
# A PNG's marks of colour, and how long each is.
_MARKS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}

Curve = Callable[[np.ndarray], np.ndarray]


class Colours(NamedTuple):
    """In what colours a file is, in words, and how its pixels become sRGB; no way where they are sRGB already."""

    name: str
    convert: Callable[[Image.Image], Image.Image] | None = None


_UNREADABLE = Colours("sRGB (its profile cannot be read; browsers ignore it too)")
_UNKNOWN = Colours("sRGB (its code points name no colours that browsers follow)")


def colours_of(picture: Picture, content: bytes) -> Colours:
    """Return the colours of a file that was read.

    Raises
    ------
    PictureError
        If they are those of a high dynamic range, which each browser brings down in its own way.
    """
    chunks = dict(_png_chunks(content))
    said = Colours("sRGB")
    if code := chunks.get(b"cICP"):
        said = _of_code_points(*code)
        if said is not _UNKNOWN:
            return said
    if picture.profile:
        said = _of_profile(picture.profile, picture.mode)
        if said is not _UNREADABLE:
            return said
    if picture.format == "AVIF":
        return _of_avif(content)
    return said if b"sRGB" in chunks or b"gAMA" not in chunks else _of_gamma(chunks)


def read_in_srgb(content: bytes, *, name: str = "", most_px: int | None = None) -> Picture:
    """Read a file to its last pixel as `read_picture` does, and bring it to sRGB.

    Raises
    ------
    PictureError
        If it cannot be read, or is of a high dynamic range.
    """
    picture = read_picture(content, name=name, most_px=most_px)
    colours = colours_of(picture, content)
    if colours.convert is None:
        return picture
    image = colours.convert(picture.image if picture.inks is None else picture.inks)
    return replace(picture, image=image, notes=(*picture.notes, f"is brought to sRGB from {colours.name}"))


def in_srgb(content: bytes) -> Image.Image:
    """Return a file's picture upright, in 8-bit RGB and sRGB. Raises PictureError if it cannot be read."""
    return read_in_srgb(content).image.convert("RGB")


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the marks of colour before a PNG's pixels; one of another length than it should have is none."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return
    offset = 8
    while offset + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[offset : offset + 8])
        if kind == b"IDAT":
            return
        if length == _MARKS.get(kind):
            yield kind, content[offset + 8 : offset + 8 + length]
        offset += 12 + length


# --- ICC profiles --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _of_profile(raw: bytes, mode: str) -> Colours:
    """Return the colours of a profile; the same few profiles are in the pictures of a whole set."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(raw))
        name = ImageCms.getProfileDescription(profile).strip() or "an unnamed profile"
        space = profile.profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return _UNREADABLE
    if mode not in _MODES.get(space, ()):
        return Colours(f"sRGB (its profile is one of {space}; browsers ignore it too)")
    inks = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}[space]
    try:
        # By LittleCMS, exactly: its shortcuts for eight bits are some levels off.
        transform = ImageCms.buildTransform(profile, _SRGB, inks, "RGB", flags=ImageCms.Flags.NOOPTIMIZE)
    except ImageCms.PyCMSError:
        return _UNREADABLE
    if mode != "CMYK" and _changes_nothing(transform, inks):
        return Colours("sRGB")
    return Colours(name, lambda picture: _through(transform, inks, picture))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether a transform is that of sRGB to itself, to a level, on the greys and a grid of colours."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 15, dtype=np.uint8)] * 3), axis=-1).reshape(-1, 3)
    probe = greys if mode == "L" else np.concatenate([greys, grid])
    picture = Image.fromarray(probe[None, :, 0] if mode == "L" else probe[None])
    shown = np.asarray(_through(transform, mode, picture))[0]
    return int(np.abs(shown.astype(int) - probe).max()) <= 1


def _through(transform: ImageCms.ImageCmsTransform, mode: str, picture: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(picture if picture.mode == mode else picture.convert(mode), transform)
    # Nothing comes back only where a picture is changed in place, which is not asked for.
    return cast("Image.Image", converted)


# --- a PNG's own marks ----------------------------------------------------------------------------------------------


def _of_code_points(primaries: int, transfer: int, matrix: int, is_full_range: int) -> Colours:
    """Return the colours of a cICP chunk (ITU-T H.273): of RGB, in all of its range."""
    if matrix or not is_full_range:
        return _UNKNOWN
    _check_range(transfer)
    curve = _CURVES.get(transfer)
    if primaries not in _PRIMARIES or curve is None:
        return _UNKNOWN
    return _by_code_points(primaries, transfer, curve)


def _of_avif(content: bytes) -> Colours:
    """Return the colours of an AVIF's colour box; Chromium takes codes that it does not know for those of sRGB."""
    at = content.find(b"colrnclx") + 8
    primaries, transfer = struct.unpack(">HH", content[at : at + 4]) if 8 <= at <= len(content) - 4 else (1, 13)
    _check_range(transfer)
    if transfer in _UNSHOWN:
        raise PictureError(
            f"is an AVIF of a transfer function that browsers do not show ({transfer}); convert it to sRGB"
        )
    if transfer in _RESERVED:
        return Colours("sRGB")
    known = primaries if primaries in _PRIMARIES else 1
    curve = _srgb_light if transfer in _TELEVISION else _CURVES.get(transfer, _srgb_light)
    return _by_code_points(known, 13 if curve is _srgb_light else transfer, curve)


def _check_range(transfer: int) -> None:
    if transfer in _HDR:
        raise PictureError(f"is a picture of high dynamic range ({_HDR[transfer]}); convert it to sRGB")


def _by_code_points(primaries: int, transfer: int, curve: Curve) -> Colours:
    if (primaries, transfer) == (1, 13):
        return Colours("sRGB")
    name = f"{_PRIMARY_NAMES[primaries]} by code points ({primaries}, {transfer})"
    return Colours(name, lambda picture: _converted(picture, curve, _PRIMARIES[primaries]))


def _of_gamma(chunks: dict[bytes, bytes]) -> Colours:
    """Return the colours of gAMA, with the primaries of cHRM or sRGB's; browsers ignore primaries without gamma.

    A gamma about 1/2.2 without primaries is what older programs write for sRGB, and browsers take it for that.
    """
    gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 1e5
    if b"cHRM" not in chunks and abs(2.2 * gamma - 1) < _NEAR_SRGB:
        return Colours("sRGB")
    white_and_primaries = _PRIMARIES[1]
    if b"cHRM" in chunks:
        white_and_primaries = tuple(value / 1e5 for value in struct.unpack(">8I", chunks[b"cHRM"]))
    if gamma == 0 or min(white_and_primaries) < 0 or not all(white_and_primaries[1::2]):
        return Colours("sRGB (its gamma or primaries cannot be; browsers ignore them too)")
    try:
        _to_xyz(white_and_primaries)
    except np.linalg.LinAlgError:
        return Colours("sRGB (its gamma or primaries cannot be; browsers ignore them too)")
    name = f"gamma {gamma:.5g}" + (" and its own primaries" if b"cHRM" in chunks else "")
    return Colours(name, lambda picture: _converted(picture, _power(1 / gamma), white_and_primaries))


def _power(exponent: float) -> Curve:
    return lambda code: code**exponent


def _srgb_light(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _smpte_240m_light(code: np.ndarray) -> np.ndarray:
    return np.where(code < 4 * 0.0228, code / 4, ((code + 0.1115) / 1.1115) ** (1 / 0.45))


def _smpte_428_light(code: np.ndarray) -> np.ndarray:
    return 52.37 / 48 * code**2.6


# Chromium shows the curves of television in a PNG as a display of BT.1886 does, not as its camera's curve turned round,
# and in an AVIF as sRGB's. An AVIF of the others it does not show at all.
_TELEVISION = (1, 6, 11, 14, 15)
_UNSHOWN = (9, 10, 11, 12)
# Reserved ones leave the primaries without a word, too.
_RESERVED = (0, 3)
_CURVES: dict[int, Curve] = dict.fromkeys(_TELEVISION, _power(2.4)) | {
    4: _power(2.2),
    5: _power(2.8),
    7: _smpte_240m_light,
    8: _power(1.0),
    13: _srgb_light,
    17: _smpte_428_light,
}


def _to_xyz(white_and_primaries: tuple[float, ...]) -> np.ndarray:
    """Return the matrix from light to XYZ under D50, by Bradford's adaptation, as profiles hold it."""
    xy = np.asarray(white_and_primaries).reshape(4, 2)
    xyz = np.column_stack([xy, 1 - xy.sum(axis=1)])
    # How much there is of each primary follows from the white, whose luminance is 1.
    white, primaries = xyz[0] / xyz[0, 1], xyz[1:].T
    matrix = primaries * np.linalg.solve(primaries, white)
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    return np.linalg.solve(cone, np.diag(cone @ d50 / (cone @ white)) @ cone) @ matrix


def _converted(picture: Image.Image, curve: Curve, white_and_primaries: tuple[float, ...]) -> Image.Image:
    light = np.take(curve(np.arange(256) / 255), np.asarray(picture.convert("RGB")))
    matrix = np.linalg.solve(_to_xyz(_PRIMARIES[1]), _to_xyz(white_and_primaries))
    linear = (light @ matrix.T).clip(0, 1)
    code = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return Image.fromarray((code * 255 + 0.5).astype(np.uint8))
