"""Every rule of docs/image-sets.md, tried on training, on image metrics and on the import: one reader, one meaning."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from analysis.pictures.colour import in_srgb
from analysis.pictures.listing import nfc
from generation.features.image_sets import folder_source, read_image
from survey.exceptions import BadArchive
from survey.services.images.import_sources import FolderSource
from survey.services.images.importing import images_check
from tests.architecture.test_contracts import ROOT
from training.data.image_sets import DataError, folder_images

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(40)


def encoded(kind: str = "PNG", picture: Image.Image = PICTURE, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(colour_type: int, channels: int) -> bytes:
    """A PNG of 16 bits a channel, opaque."""
    wide = np.full((4, 4, channels), 65535, dtype=">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", 4, 4, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def with_chunk(kind: bytes, data: bytes) -> bytes:
    content = encoded()
    return content[:33] + chunk(kind, data) + content[33:]


def marked(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def with_text(length: int) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("workflow", "x" * length, zip=True)
    return encoded(pnginfo=info)


def large_profile() -> bytes:
    """A profile of sRGB with two megabytes of zeros behind it, which its size counts in."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return struct.pack(">I", len(plain) + 2 * 2**20) + plain[4:] + bytes(2 * 2**20)


def animated(kind: str) -> bytes:
    return encoded(kind, save_all=True, append_images=[Image.fromarray(255 - PIXELS)])


def tiff_with_small_copy() -> bytes:
    small = PICTURE.resize((7, 5))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    return encoded("TIFF", save_all=True, append_images=[small])


def see_through() -> bytes:
    image = PICTURE.convert("RGBA")
    image.putpixel((0, 0), (1, 2, 3, 254))
    return encoded(picture=image)


def avif10() -> bytes:
    """An AVIF whose configuration says 10 bits; its pixels need not be reached."""
    content = bytearray(encoded("AVIF"))
    content[content.index(b"av1C") + 6] |= 0x40
    return bytes(content)


LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}
GREY = PICTURE.convert("L")
# {rule: {relative path: content}}; what lies beside stands in BASE.
EXAMPLES: dict[str, dict[str, bytes]] = {
    "formats": {f"cat/{kind}.{kind.lower()}": encoded(kind, **options) for kind, options in LOSSLESS.items()},
    "ending": {f"cat/{name}": encoded() for name in ("a.jfif", "b.JPE", "c.bin", "d", "e.jpg", "f.v2")},
    "kind": {"cat/a.heic": HEIC, "cat/b.mp4": MP4, "cat/notes.txt": b"hello", "cat/raw.dng": b"II*\0" + bytes(9)},
    "pretended": {"cat/a.jpg": HEIC},
    "damaged": {"cat/a.png": encoded()[:-30]},
    "leavings": {
        ".ipynb_checkpoints/0-checkpoint.png": encoded(),
        "cat/._0.png": b"\0\5\x16\7" + bytes(60),
        "@eaDir/0.png": encoded(),
        "cat/Thumbs.db": b"\xd0\xcf\x11\xe0",
        "cat/thumbnails/0.png": encoded(),
        "cat/a.png~": encoded(),
        "cat/b.png.part": encoded(),
        "cat/c.PNG.BAK": encoded(),
    },
    "class": {"cat/more/deep/1.png": encoded(), "cat/other/1.png": encoded()},
    "stray": {"grid.png": encoded()},
    "accents": {"cafe\u0301/1.png": encoded()},
    "accents-twice": {"cafe\u0301/1.png": encoded(), "caf\u00e9/1.png": encoded()},
    "depth": {"cat/a.png": png16(2, 3)},
    "grey": {
        "cat/l.png": encoded(picture=GREY.convert("RGB")),
        "cat/p.png": encoded(picture=PICTURE.quantize(colors=256, dither=Image.Dither.NONE)),
    },
    "opaque": {"cat/a.png": encoded(picture=PICTURE.convert("RGBA"))},
    "see-through": {"cat/a.png": see_through()},
    "cmyk": {"cat/a.jpg": encoded("JPEG", PICTURE.convert("CMYK"), quality=100)},
    "colours": {"cat/a.png": with_chunk(b"gAMA", struct.pack(">I", 100_000))},
    "dynamic": {"cat/a.png": with_chunk(b"cICP", bytes([9, 16, 0, 1]))},
    "turned": {"cat/a.png": encoded(exif=marked(6)), "cat/b.tif": encoded("TIFF", exif=marked(2))},
    "turned-webp": {"cat/a.webp": encoded("WEBP", exif=marked(3).tobytes())},
    "preview": {"cat/a.jpg": animated("MPO"), "cat/b.tif": tiff_with_small_copy()},
    "animation": {"cat/a.webp": animated("WEBP")},
    "metadata": {"cat/a.png": with_text(3 * 2**20), "cat/b.png": encoded(icc_profile=large_profile())},
}
MORE_REFUSED = {
    "pretended": [b"", b"<!DOCTYPE html><p>404", b"version https://git-lfs.github.com/spec/v1\n", MP4],
    "depth": [png16(0, 1), png16(4, 2), png16(6, 4), avif10(), encoded("TIFF", Image.new("F", (4, 4)))],
    "animation": [animated("GIF"), animated("PNG"), animated("AVIF"), animated("TIFF")],
    "damaged": [encoded("JPEG")[:-200], encoded("WEBP")[:-20], encoded("TIFF")[:-200], encoded("AVIF")[:-40]],
}
BASE = {"cat/0.png": encoded(), "dog/0.png": encoded()}
RULES = re.findall(
    r"^\| `([a-z-]+)` \|.*?\| (read|read, noted|left out|refused) \|", (ROOT / "docs/image-sets.md").read_text(), re.M
)


@dataclass
class Seen:
    """What a reader made of a folder."""

    pixels: dict[str, np.ndarray]
    classes: list[str]
    notes: str


def by_training(root: Path) -> Seen:
    found = folder_images(root)
    pixels = {name: np.asarray(found.image(i, mode="RGB")) for i, name in enumerate(found.names)}
    return Seen(pixels, [found.class_names[label] for label in found.labels], " ".join(found.notes))


def by_metrics(root: Path) -> Seen:
    found = folder_source(root)
    pixels = {nfc(str(path.relative_to(root))): read_image(path) for path in found.files}
    names = sorted({name.split("/")[0] for name in pixels})
    return Seen(pixels, [names[label] for label in found.labels or ()], " ".join(found.notes))


def by_import(root: Path) -> Seen:
    source = FolderSource(root)
    report, pairs = images_check({"a": source, "b": FolderSource(root)})
    if report.problems:
        raise BadArchive(" ".join(report.problems))
    names = [row["a"].path for row in pairs.values()]
    return Seen(dict.fromkeys(names), [name.split("/")[0] for name in names], " ".join(report.notes))


READERS = {"training": by_training, "metrics": by_metrics, "import": by_import}
readers = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)


def laid_out(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_every_rule_has_an_example() -> None:
    here = {"flat", "link", "circle", "parts"}
    assert len(RULES) > 15
    assert {name for name, _ in RULES} == EXAMPLES.keys() | here


@readers
@pytest.mark.parametrize(("rule", "outcome"), [(name, outcome) for name, outcome in RULES if name in EXAMPLES])
def test_rule(tmp_path: Path, reader: Callable[[Path], Seen], rule: str, outcome: str) -> None:
    examples = EXAMPLES[rule]
    root = laid_out(tmp_path, BASE | examples)
    if outcome == "refused":
        with pytest.raises((ValueError, BadArchive)) as error:
            reader(root)
        assert any(name in str(error.value) or repr(name) in str(error.value) for name in examples)
        return
    seen = reader(root)
    if outcome == "left out":
        assert sorted(seen.pixels) == sorted(BASE)
        assert seen.classes == ["cat", "dog"]
        assert "left out" in seen.notes
    else:
        assert len(seen.pixels) == len(BASE) + len(examples)
        assert seen.classes.count("dog") == 1
    if rule == "kind":
        assert all(kind in seen.notes for kind in ("HEIC image", "video", "text file", "camera raw"))
    if rule == "accents":
        assert "caf\u00e9" in seen.classes


@readers
def test_parts_of_a_set_are_no_classes(tmp_path: Path, reader: Callable[[Path], Seen]) -> None:
    root = laid_out(tmp_path, {f"{part}/cat/1.png": encoded() for part in ("train", "val")})
    with pytest.raises((ValueError, BadArchive), match="train, val are parts of a set"):
        reader(root)


@readers
@pytest.mark.parametrize(
    ("rule", "content"), [(rule, one) for rule, several in MORE_REFUSED.items() for one in several]
)
def test_refused_files_are_named(tmp_path: Path, reader: Callable[[Path], Seen], rule: str, content: bytes) -> None:
    with pytest.raises((ValueError, BadArchive), match=r"odd\.png"):
        reader(laid_out(tmp_path, BASE | {"cat/odd.png": content}))


@pytest.mark.parametrize("reader", [by_training, by_metrics])
@pytest.mark.parametrize(
    ("rule", "name", "wanted"),
    [
        *(("formats", f"cat/{kind}.{kind.lower()}", PIXELS) for kind in LOSSLESS),
        ("ending", "cat/d", PIXELS),
        ("opaque", "cat/a.png", PIXELS),
        ("turned", "cat/a.png", np.rot90(PIXELS, -1)),
        ("turned", "cat/b.tif", PIXELS[:, ::-1]),
        ("preview", "cat/b.tif", PIXELS),
        ("grey", "cat/l.png", np.repeat(np.asarray(GREY)[..., None], 3, 2)),
        ("grey", "cat/p.png", PIXELS),
        ("metadata", "cat/a.png", PIXELS),
        ("metadata", "cat/b.png", PIXELS),
    ],
)
def test_pixels_are_those_of_the_file(tmp_path: Path, reader, rule: str, name: str, wanted: np.ndarray) -> None:
    seen = reader(laid_out(tmp_path, BASE | EXAMPLES[rule]))
    np.testing.assert_array_equal(seen.pixels[name], wanted)


@pytest.mark.parametrize("reader", [by_training, by_metrics])
def test_colours_are_those_that_raters_see(tmp_path: Path, reader) -> None:
    seen = reader(laid_out(tmp_path, BASE | EXAMPLES["colours"]))
    wanted = np.asarray(in_srgb(EXAMPLES["colours"]["cat/a.png"]))
    np.testing.assert_array_equal(seen.pixels["cat/a.png"], wanted)
    assert not np.array_equal(wanted, PIXELS)


@pytest.mark.parametrize("rule", [name for name, outcome in RULES if outcome == "read, noted"])
def test_what_is_changed_is_noted(tmp_path: Path, rule: str, caplog: pytest.LogCaptureFixture) -> None:
    root = laid_out(tmp_path, BASE | EXAMPLES[rule])
    assert f"arm a: {len(EXAMPLES[rule])} image(s)" in by_import(root).notes
    with caplog.at_level("WARNING"):
        for reader in (folder_images, folder_source):
            caplog.clear()
            found = reader(root)
            list(found.batches(1) if reader is folder_source else (found.image(i, mode="L") for i in range(len(found))))
            assert len(caplog.messages) == 1


def test_images_without_folders_have_no_class(tmp_path: Path) -> None:
    root = laid_out(tmp_path, {"1.png": encoded(), "2.png": encoded()})
    assert len(by_import(root).pixels) == 2
    assert folder_source(root).labels is None
    with pytest.raises(DataError, match="no class folders"):
        folder_images(root)


def test_linked_folders_are_followed_and_an_import_keeps_inside(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "set", BASE)
    elsewhere = laid_out(tmp_path / "disk", {"ant/1.png": encoded()})
    (root / "ant").symlink_to(elsewhere / "ant")
    for reader in (by_training, by_metrics):
        assert sorted(reader(root).classes) == ["ant", "cat", "dog"]
    with pytest.raises(BadArchive, match="ant is a link that leads out"):
        by_import(root)
    (root / "ant").unlink()
    (root / "eel").symlink_to(root / "cat")
    assert sorted(by_import(root).classes) == ["cat", "dog", "eel"]


@readers
@pytest.mark.parametrize("target", ["..", "nowhere"])
def test_links_in_a_circle_or_to_nothing_are_refused(tmp_path: Path, reader, target: str) -> None:
    root = laid_out(tmp_path, BASE)
    (root / "cat" / "odd").symlink_to(target)
    with pytest.raises((ValueError, BadArchive), match="odd is a link"):
        reader(root)
