"""Zips as people and old programs make them: read, or refused by name."""

from __future__ import annotations

import io
import zipfile

import pytest
from PIL import Image

from analysis.pictures.archives import open_archive
from analysis.pictures.errors import PictureError

PNG = io.BytesIO()
Image.new("RGB", (4, 4)).save(PNG, "PNG")


def zipped(*names: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name in names:
            archive.writestr(name, PNG.getvalue())
    return buffer.getvalue()


def named(raw: bytes, *, is_utf8: bool) -> bytes:
    """A zip of one entry whose name is these bytes."""
    place = "@" * len(raw)
    content = zipped(place).replace(place.encode(), raw)
    if not is_utf8:
        return content
    flags = bytearray(content)
    for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        flags[content.index(start) + at + 1] |= 0x08
    return bytes(flags)


def names_of(content: bytes) -> tuple[str, ...]:
    with open_archive(io.BytesIO(content)) as archive:
        return archive.listing.names


@pytest.mark.parametrize("raw", ["a/café.png", "a/cafe\u0301.png"])
def test_names_in_utf8_are_read_with_and_without_its_mark(raw: str) -> None:
    for is_utf8 in (True, False):
        assert names_of(named(raw.encode(), is_utf8=is_utf8)) == ("a/café.png",)


def test_a_colon_in_a_name_is_no_drive() -> None:
    assert names_of(zipped("sd:1.5/cat/1.png")) == ("sd:1.5/cat/1.png",)


@pytest.mark.parametrize("page", ["cp437", "cp1252", "cp932", "gbk"])
def test_names_of_an_unknown_code_page_are_refused(page: str) -> None:
    name = "a/日本.png" if page in {"cp932", "gbk"} else "a/café.png"
    with pytest.raises(PictureError, match="code page"):
        names_of(named(name.encode(page), is_utf8=False))


def test_a_name_marked_as_utf8_that_is_none_is_refused() -> None:
    with pytest.raises(PictureError, match="damaged"):
        names_of(named(b"a/caf\xe9.png", is_utf8=True))


@pytest.mark.parametrize("name", [".", "./", "a/../../x.png", "/x.png", "//x.png", "C:x.png", "a\x07.png"])
def test_names_that_lead_nowhere_are_refused_or_no_image(name: str) -> None:
    buffer = io.BytesIO(zipped("a/1.png"))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, b"" if name.endswith("/") else PNG.getvalue())
    if name == "./":
        assert names_of(buffer.getvalue()) == ("a/1.png",)
        return
    with pytest.raises(PictureError, match="unsafe name"):
        names_of(buffer.getvalue())


def test_an_entry_without_a_name_is_refused() -> None:
    content = zipped("a/1.png", "@")
    at = content.rindex(b"PK\x01\x02")
    # The length of the name, and the name as the first byte of a comment of the entry.
    nameless = content[: at + 28] + b"\0" + content[at + 29 : at + 32] + b"\1" + content[at + 33 :]
    with pytest.raises(PictureError, match="unsafe name ''"):
        names_of(nameless)


@pytest.mark.parametrize("raw", [b"\0", b"a/\0/2.png", b"a/2.png\0.exe"])
def test_a_name_that_a_nul_would_cut_is_refused(raw: bytes) -> None:
    with pytest.raises(PictureError, match=r"unsafe name .*\\x00"):
        names_of(named(raw, is_utf8=False))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_is_read_and_its_damage_is_refused_by_name(compression: int) -> None:
    content = zipped("a/1.png", compression=compression)
    with open_archive(io.BytesIO(content)) as archive:
        assert archive.read("a/1.png") == PNG.getvalue()
    start, end = content.index(b"a/1.png") + 7, content.index(b"PK\x01\x02")
    for at in range(start, end):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        outcome = read_or_refused(bytes(damaged))
        # A flipped bit that no decoder looks at changes nothing.
        assert outcome == PNG.getvalue() or "a/1.png" in str(outcome)


def read_or_refused(content: bytes) -> bytes | str:
    try:
        with open_archive(io.BytesIO(content)) as archive:
            return archive.read("a/1.png")
    except PictureError as error:
        return str(error)


def test_an_unknown_compression_is_refused_by_name() -> None:
    content = bytearray(zipped("a/1.png"))
    for start, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(start) + at] = 97
    with (
        pytest.raises(PictureError, match=r"a/1\.png in the zip cannot be read"),
        open_archive(io.BytesIO(bytes(content))) as archive,
    ):
        archive.read("a/1.png")


def test_the_same_image_twice_is_refused_and_leavings_are_not_images() -> None:
    with pytest.raises(PictureError, match="twice"):
        names_of(zipped("a/1.png", "./a/1.png"))
    with open_archive(io.BytesIO(zipped("a/1.png", "__MACOSX/a/._1.png", "a/.DS_Store"))) as archive:
        assert archive.listing.names == ("a/1.png",)
        assert archive.listing.notes() == ["left out: 2 left by other programs (__MACOSX/a/._1.png, a/.DS_Store)"]
