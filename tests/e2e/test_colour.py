"""Raters see the colours that a colour-managed browser shows of the original: Chromium's canvas is the judge."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from analysis.pictures.colour import in_srgb
from analysis.pictures.errors import PictureError
from analysis.pictures.pixels import read_picture

pytestmark = pytest.mark.e2e
CANVAS = """async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
}"""
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    return browser.new_page()


def ramp() -> np.ndarray:
    """Every grey, the edges of the cube, and colours in between."""
    greys = np.repeat(np.arange(256), 3).reshape(256, 3)
    mixed = np.random.default_rng(3).integers(0, 256, (768, 3))
    return np.concatenate([greys, mixed]).astype(np.uint8).reshape(32, 32, 3)


def profile(space: str) -> bytes:
    """A profile that is not sRGB: grey with another curve, or RGB with other primaries."""
    return GREY if space == "L" else _matrix_profile(P3)


def _tag(kind: bytes, body: bytes) -> bytes:
    return kind + bytes(4) + body


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile_file(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    offset, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += name + struct.pack(">II", offset + len(data), len(body))
        data += body
    length = offset + len(data)
    header = struct.pack(">I4sI4s4s4s", length, bytes(4), 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + data


def _description(text: bytes) -> bytes:
    return _tag(b"desc", struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78))


def _curve(gamma: float) -> bytes:
    return _tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))


def _matrix_profile(primaries: tuple[float, ...], gamma: float = 1.8) -> bytes:
    from analysis.pictures.colour import _to_xyz

    red, green, blue = _to_xyz(primaries).T
    tags = {
        b"desc": _description(b"Wide and odd"),
        b"cprt": _tag(b"text", b"none\0"),
        b"wtpt": _tag(b"XYZ ", _fixed(0.9642, 1, 0.8249)),
    }
    tags |= {
        name: _tag(b"XYZ ", _fixed(*column)) for name, column in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue))
    }
    return _profile_file(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


GREY = _profile_file(
    b"GRAY",
    {
        b"desc": _description(b"Dark grey"),
        b"cprt": _tag(b"text", b"none\0"),
        b"wtpt": _tag(b"XYZ ", _fixed(0.9642, 1, 0.8249)),
        b"kTRC": _curve(1.0),
    },
)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def marked(*chunks: bytes, mode: str = "RGB") -> bytes:
    content = saved(Image.fromarray(ramp()).convert(mode))
    return content[:33] + b"".join(chunks) + content[33:]


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 1e5)))


def primaries(values: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 1e5) for value in values)))


def with_profile(mode: str, kind: str = "PNG", space: str | None = None) -> bytes:
    picture = Image.fromarray(ramp()).convert(mode)
    own = space or ("L" if mode in ("L", "LA") else "RGB")
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    return saved(picture, kind, icc_profile=profile(own), **options)


def avif(primaries: int, transfer: int, **options) -> Callable[[], bytes]:
    """An AVIF whose colour box names these code points."""

    def made() -> bytes:
        content = saved(Image.fromarray(ramp()), "AVIF", quality=100, subsampling="4:4:4", **options)
        at = content.index(b"colrnclx") + 8
        return content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]

    return made


def cicp(primaries: int, transfer: int) -> Callable[[], bytes]:
    return lambda: marked(chunk(b"cICP", bytes([primaries, transfer, 0, 1])))


def in_parts(*numbers: int) -> Callable[[], bytes]:
    """A JPEG with its whole profile under each of these numbers, of one part in all."""

    def made() -> bytes:
        plain, body = saved(Image.fromarray(ramp()), "JPEG", quality=100, subsampling=0), profile("RGB")
        parts = [b"ICC_PROFILE\0" + bytes([number, 1]) + body for number in numbers]
        return plain[:2] + b"".join(b"\xff\xe2" + struct.pack(">H", len(part) + 2) + part for part in parts) + plain[2:]

    return made


ICC = chunk(b"iCCP", b"broken\0\0" + zlib.compress(b"no profile" * 30))
CASES: dict[str, Callable[[], bytes]] = {
    "no mark": lambda: saved(Image.fromarray(ramp())),
    "profile, RGB": lambda: with_profile("RGB"),
    "profile, RGBA": lambda: with_profile("RGBA"),
    "profile, palette": lambda: with_profile("P"),
    "profile, grey": lambda: with_profile("L"),
    "profile, grey and alpha": lambda: with_profile("LA"),
    "profile of RGB on grey": lambda: with_profile("L", space="RGB"),
    "profile of grey on RGB": lambda: with_profile("RGB", space="L"),
    "profile, WebP": lambda: with_profile("RGB", "WEBP"),
    "profile, JPEG of grey": lambda: with_profile("L", "JPEG"),
    "profile of RGB, JPEG of grey": lambda: with_profile("L", "JPEG", "RGB"),
    "profile twice, JPEG": in_parts(1, 1),
    "profile numbered from 0, JPEG": in_parts(0),
    "linear gamma": lambda: marked(gamma(1.0)),
    "gamma of 1.8": lambda: marked(gamma(1 / 1.8)),
    "gamma, grey": lambda: marked(gamma(1 / 1.8), mode="L"),
    "gamma, palette": lambda: marked(gamma(1 / 1.8), mode="P"),
    "gamma of old programs for sRGB": lambda: marked(gamma(0.45455)),
    "gamma of 1 / 2.2, grey": lambda: marked(gamma(0.45455), mode="L"),
    "gamma just near sRGB": lambda: marked(gamma(0.4319)),
    "gamma just not near sRGB": lambda: marked(gamma(0.4317)),
    "gamma near sRGB and primaries": lambda: marked(gamma(0.45455), primaries(SRGB)),
    "primaries alone": lambda: marked(primaries(P3)),
    "gamma and primaries": lambda: marked(gamma(1 / 2.2), primaries(ADOBE)),
    "sRGB before gamma": lambda: marked(chunk(b"sRGB", b"\0"), gamma(1.0)),
    "cICP, Display P3": lambda: marked(chunk(b"cICP", bytes([12, 13, 0, 1]))),
    "cICP, BT.2020": lambda: marked(chunk(b"cICP", bytes([9, 14, 0, 1]))),
    "cICP, BT.709": lambda: marked(chunk(b"cICP", bytes([1, 1, 0, 1]))),
    "cICP, linear": lambda: marked(chunk(b"cICP", bytes([1, 8, 0, 1]))),
    **{f"cICP, primaries {code}": cicp(code, 13) for code in (2, 4, 5, 6, 7, 8, 10, 11, 22)},
    **{f"cICP, transfer {code}": cicp(1, code) for code in (2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17)},
    "cICP, DCI P3": cicp(11, 17),
    **{f"AVIF, primaries {code}": avif(code, 13) for code in (0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22)},
    **{f"AVIF, transfer {code}": avif(12, code) for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 17, 19)},
    "AVIF, a profile before code points": lambda: avif(9, 8, icc_profile=profile("RGB"))(),
    "cICP of part of the range": lambda: marked(chunk(b"cICP", bytes([12, 13, 0, 0]))),
    "cICP that says nothing, before gamma": lambda: marked(chunk(b"cICP", bytes([2, 2, 0, 1])), gamma(1.0)),
    "profile that cannot be read": lambda: marked(ICC),
    "profile that cannot be read, before gamma": lambda: marked(ICC, gamma(1.0)),
    "profile that cannot be read, before sRGB": lambda: marked(ICC, chunk(b"sRGB", b"\0"), gamma(1.0)),
    "cICP before gamma": lambda: marked(chunk(b"cICP", bytes([12, 13, 0, 1])), gamma(1.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_raters_see_what_a_browser_shows(page: Page, case: str) -> None:
    content = CASES[case]()
    ours = np.asarray(in_srgb(content)).astype(int)
    kind = read_picture(content).format.lower()
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    theirs = np.asarray(page.evaluate(CANVAS, url)).reshape(*ours.shape[:2], 4)[..., :3]
    off = abs(ours - theirs)
    assert off.max() <= 2, (case, off.max(), off.mean())
    assert off.mean() < 0.3, case


@pytest.mark.parametrize("transfer", [9, 10, 11, 12, 16, 18])
def test_an_avif_that_browsers_do_not_show_or_show_each_in_its_own_way_is_refused(transfer: int) -> None:
    with pytest.raises(PictureError, match="convert it to sRGB"):
        in_srgb(avif(9, transfer)())
