"""Folders and zips of pictures as people and programs leave them, and what ought to be read of them."""

from __future__ import annotations

import io
import os
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st
from PIL import Image

PNG = io.BytesIO()
Image.new("RGB", (4, 4), (200, 100, 50)).save(PNG, "PNG")
PICTURE = PNG.getvalue()
CLASSES = ("cat", "dog", "n01440764", "a photo of a cat", "caf\u00e9", "cafe\u0301", "v1.5", "猫", "A", "a")
STEMS = ("0", "1", "00001", "img.v2", "IMG_0001", "é", "e\u0301", "one two", "x" * 60)
ENDINGS = (".png", ".PNG", ".jpg", ".jfif", ".tif", ".webp", "", ".bin", ".dat")
LEAVINGS = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "._0.png",
    ".ipynb_checkpoints/0-checkpoint.png",
    "__MACOSX/cat/._0.png",
    "@eaDir/0.png/SYNOPHOTO_THUMB.jpg",
    ".git/config",
    "thumbnails/0.png",
)
OTHERS = {
    "notes.txt": b"hello",
    "clip.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isomavc1",
    "a.heic": b"\0\0\0\x18ftypheic" + bytes(9),
}


@dataclass(frozen=True)
class BroughtSet:
    """Files by path; the names that ought to be read; why the set ought to be refused, where it ought."""

    files: dict[str, bytes]
    images: frozenset[str]
    refusal: str | None = None
    links: dict[str, str] = field(default_factory=dict)

    def lay_out(self, root: Path) -> Path:
        for name, content in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name, target in self.links.items():
            os.symlink(target, root / name)
        return root


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@st.composite
def picture_names(draw: st.DrawFn, depth: int = 2) -> str:
    folders = [draw(st.sampled_from(CLASSES)) for _ in range(draw(st.integers(1, depth)))]
    return "/".join([*folders, draw(st.sampled_from(STEMS)) + draw(st.sampled_from(ENDINGS))])


def _fits(names: set[str]) -> bool:
    """Say whether no name is a folder of another one."""
    return not any(other.startswith(f"{name}/") for name in names for other in names)


@st.composite
def folders(draw: st.DrawFn) -> BroughtSet:
    """A folder of classes with what else lies about; sometimes with something that forbids it."""
    names = draw(st.sets(picture_names(), min_size=1, max_size=8).filter(_fits))
    files = dict.fromkeys(sorted(names), PICTURE)
    images = frozenset(map(nfc, names))
    refusal = "how accents are written" if len(images) < len(names) else None
    tops = sorted({name.split("/")[0] for name in names})
    for leaving in draw(st.sets(st.sampled_from(LEAVINGS))):
        files[draw(st.sampled_from(["", f"{tops[0]}/"])) + leaving] = PICTURE
    for other in draw(st.sets(st.sampled_from(sorted(OTHERS)))):
        files[draw(st.sampled_from(["", f"{tops[-1]}/"])) + other] = OTHERS[other]
    links: dict[str, str] = {}
    trouble = draw(st.sampled_from([None, None, None, "stray", "circle", "nowhere", "linked"]))
    if trouble == "stray":
        files["samples_grid.png"], refusal = PICTURE, refusal or "samples_grid.png"
    elif trouble in {"circle", "nowhere"}:
        links[f"{tops[0]}/link"], refusal = ".." if trouble == "circle" else "gone", "link"
    elif trouble == "linked":
        links["linked"] = tops[0]
        images |= {nfc("linked" + name[len(tops[0]) :]) for name in names if name.startswith(f"{tops[0]}/")}
    return BroughtSet(files, images, refusal, links)


@dataclass(frozen=True)
class BroughtZip:
    """A zip of arms; the keys of pairs that ought to be found, None where it ought to be refused."""

    content: bytes
    pairs: frozenset[str] | None
    is_damaged: bool = False


def stem(name: str) -> str:
    head, dot, ending = name.rpartition(".")
    return head if dot and f".{ending.lower()}" in {".png", ".jpg", ".jfif", ".tif", ".webp"} else name


@st.composite
def zips(draw: st.DrawFn) -> BroughtZip:
    """A zip of two arms or of something else, packed as programs do, whole or damaged."""
    arms = draw(st.sampled_from([("vanilla", "robust"), ("SDXL 1.0", "ours_v2.1"), ("a", "b", "c"), ("only",)]))
    names = sorted(draw(st.sets(picture_names(depth=1), min_size=1, max_size=5).filter(_fits)))
    around = draw(st.sampled_from(["", "", "study/", "out/study/"]))
    packing = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for arm in arms:
            for name in names:
                archive.writestr(f"{around}{arm}/{name}", PICTURE)
        for leaving in draw(st.sets(st.sampled_from(LEAVINGS))):
            archive.writestr(leaving, PICTURE)
        odd = draw(st.sampled_from([None, None, None, ".", "../x.png", "/x.png", "stray.png", "a\\b.png"]))
        if odd is not None:
            info = zipfile.ZipInfo("placeholder")
            info.filename = odd
            archive.writestr(info, PICTURE)
    keys = [stem(nfc(name)) for name in names]
    is_refused = odd is not None or len(arms) < 2 or len(set(keys)) < len(keys)
    content = bytearray(buffer.getvalue())
    is_damaged = draw(st.booleans())
    if is_damaged:
        for _ in range(draw(st.integers(1, 3))):
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        if draw(st.booleans()):
            del content[draw(st.integers(0, len(content) - 1)) :]
    return BroughtZip(bytes(content), None if is_refused else frozenset(keys), is_damaged)
