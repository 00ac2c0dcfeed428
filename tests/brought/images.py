"""Image files of every kind that is read and of some that are not, whole and damaged, and what they ought to show."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageCms

LOSSLESS = ("PNG", "TIFF", "BMP", "WEBP")
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
# Modes that each format takes; what else is drawn is turned into RGB.
MODES = {
    "PNG": ("RGB", "L", "P", "1", "RGBA", "LA"),
    "JPEG": ("RGB", "L", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "BMP": ("RGB", "L", "P", "1"),
    "TIFF": ("RGB", "L", "RGBA", "CMYK", "1"),
}
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
OTHER_KINDS = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
    "video": b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(64),
    "HTML page": b"<!DOCTYPE html><html>no</html>",
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "empty file": b"",
    "text file": b"hello, world\n",
    "PDF": b"%PDF-1.7\n" + bytes(32),
    "zip": b"PK\x03\x04" + bytes(64),
    "": bytes(range(256)),
}


@dataclass(frozen=True)
class Brought:
    """A file, and what ought to happen: `pixels` where they are known to the last bit, `refusal` where it is refused.

    With `is_damaged` anything may be right but a traceback.
    """

    content: bytes
    what: str
    pixels: np.ndarray | None = None
    refusal: str | None = None
    is_damaged: bool = False


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep(colour_type: int, channels: int, bits: int = 16) -> bytes:
    rows = b"".join(b"\0" + bytes(channels * bits // 8 * 4) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@st.composite
def whole_images(draw: st.DrawFn) -> Brought:
    """A whole file: its pixels are known where the format keeps them and no colours are marked."""
    kind = draw(st.sampled_from(FORMATS))
    mode = draw(st.sampled_from(MODES[kind]))
    size = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    array = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(array).convert("RGB").convert(mode.rstrip("A") if mode in {"RGBA", "LA"} else mode)
    shown = np.asarray(image.convert("RGB"))
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    is_clear = False
    if mode in {"RGBA", "LA"}:
        is_clear = draw(st.booleans())
        image.putalpha(254 if is_clear else 255)
    turn = draw(st.sampled_from([None, None, *range(10)])) if kind not in {"GIF", "BMP"} else None
    if turn is not None:
        exif = Image.Exif()
        exif[0x0112] = turn
        options["exif"] = exif.tobytes()
    marks = draw(st.sampled_from(["", "", "text", "profile", "damaged profile", "chunks"]))
    if marks.endswith("profile") and kind not in {"GIF", "BMP"}:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options["icc_profile"] = profile if marks == "profile" else b"no profile"
    content = encoded(image, kind, **options)
    if marks == "text" and kind == "PNG":
        text = b"workflow\0\0" + zlib.compress(b"x" * draw(st.integers(0, 3 * 2**20)))
        content = content[:33] + chunk(b"zTXt", text) + content[33:]
    if marks == "chunks" and kind == "PNG":
        name = draw(st.sampled_from([b"gAMA", b"cHRM", b"sRGB", b"cICP"]))
        content = content[:33] + chunk(name, draw(st.binary(max_size=40))) + content[33:]
        return Brought(content, "PNG with marks of colour", is_damaged=True)
    is_exact = kind in LOSSLESS and mode != "CMYK" and not marks.endswith("profile")
    pixels = TURNED.get(turn or 1, TURNED[1])(shown) if is_exact and not is_clear else None
    refusal = "see-through" if is_clear else None
    if kind == "WEBP" and turn in TURNED and turn != 1:
        pixels, refusal = None, refusal or "WebP with an orientation mark"
    return Brought(content, f"{kind} {mode}", pixels=pixels, refusal=refusal)


@st.composite
def odd_files(draw: st.DrawFn) -> Brought:
    """A file that is no picture, or one that no reader should take."""
    picture = Image.new("RGB", (6, 5), (9, 8, 7))
    more = [Image.new("RGB", (6, 5), (1, 2, 3))]
    odd: dict[str, Brought] = {
        name or "unknown": Brought(content, name or "unknown bytes", refusal=name)
        for name, content in OTHER_KINDS.items()
    }
    for colour_type, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        odd[f"16 bits {colour_type}"] = Brought(deep(colour_type, channels), "PNG of 16 bits", refusal="8 bits")
    odd["float"] = Brought(encoded(Image.new("F", (4, 4)), "TIFF"), "TIFF of floats", refusal="8 bits")
    odd["wide"] = Brought(encoded(Image.new("I;16", (4, 4)), "TIFF"), "TIFF of 16 bits", refusal="8 bits")
    for kind in ("GIF", "PNG", "WEBP", "AVIF", "TIFF"):
        content = encoded(picture, kind, save_all=True, append_images=more)
        odd[f"animated {kind}"] = Brought(
            content, f"animated {kind}", refusal="pages" if kind == "TIFF" else "animation"
        )
    return odd[draw(st.sampled_from(sorted(odd)))]


@st.composite
def damaged_images(draw: st.DrawFn) -> Brought:
    """A whole file that was cut short or changed."""
    whole = draw(whole_images())
    content = bytearray(whole.content)
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(draw(st.integers(1, 4))):
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return Brought(bytes(content), f"damaged {whole.what}", is_damaged=True)


def image_files() -> st.SearchStrategy[Brought]:
    return st.one_of(whole_images(), odd_files(), damaged_images())
