"""Which files of a set are its images, which classes they have, and what is left out, counted and named."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from analysis.pictures.errors import PictureError
from analysis.pictures.formats import has_image_ending, kind_of, picture_format, stem

__all__ = [
    "LEAVINGS",
    "NAMED",
    "Classes",
    "Listing",
    "class_of",
    "classes_of",
    "is_leaving",
    "listing_of",
    "nfc",
    "text_beside",
]

# What other programs leave behind, in lower case; hidden names are left out besides.
LEAVINGS = frozenset(
    {
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__pycache__",
        "thumbs.db",
        "thumbs.db:encryptable",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        "thumbnails",
        "_thumbnails",
        "_thumbs",
        "picasa.ini",
    }
)
# How editors name their copies, and browsers a download that they have not finished.
_COPIES = ("~", ".bak", ".orig", ".tmp", ".part", ".partial", ".crdownload")
# Of data sets that are kept in parts, each with all classes.
_SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
LEAVING = "left by other programs"
NAMED = 3
Head = Callable[[], bytes]


@dataclass(frozen=True)
class Listing:
    """The images of a set, and what is none.

    Parameters
    ----------
    paths : dict of str to str
        {name: path as stored}, sorted by name. A name is relative, has forward slashes and is in Unicode NFC.
    left_out : dict of str to list of str
        {kind of file: names}.
    """

    paths: dict[str, str]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The images' names, sorted."""
        return tuple(self.paths)

    def without(self, used: Collection[str]) -> Listing:
        """Return the listing without files that are no images and are read nevertheless."""
        left = {kind: [name for name in names if name not in used] for kind, names in self.left_out.items()}
        return Listing(self.paths, {kind: names for kind, names in left.items() if names})

    def texts_beside(self) -> set[str]:
        """Return the names that the ``.txt`` files beside the images have, where they have one."""
        return {text_beside(name) for name in self.paths}

    def notes(self) -> list[str]:
        """Return a line for each kind of file that was left out: how many, and the first names."""
        return [f"left out: {line}" for line in self._kinds()]

    def found(self) -> str:
        """Return what there is besides images, in one line for a message."""
        return "; ".join(self._kinds()) or "nothing"

    def _kinds(self) -> list[str]:
        return [
            f"{len(names)} {_kind_word(kind, len(names))} ({', '.join(names[:NAMED])}"
            + (", ..." if len(names) > NAMED else "")
            + ")"
            for kind, names in sorted(self.left_out.items())
        ]


def _kind_word(kind: str, count: int) -> str:
    if kind == LEAVING or count == 1:
        return kind
    first, comma, rest = kind.partition(", ")
    if first == "file without an ending":
        return "files without an ending"
    return f"{re.sub('(?<![aeiou])y$', 'ie', first)}s{comma}{rest}"


@dataclass(frozen=True)
class Classes:
    """The classes of a set: `names` sorted, and the rank `labels[i]` of image i's class; both empty without folders."""

    names: tuple[str, ...]
    labels: tuple[int, ...]


def nfc(name: str) -> str:
    """Return a name with composed accents, as most systems write it; macOS and some archives take them apart."""
    return unicodedata.normalize("NFC", name)


def text_beside(name: str) -> str:
    """Return the name of the text that generators write beside an image: `cat/1.txt` of `cat/1.png`."""
    return f"{stem(name)}.txt"


def is_leaving(part: str) -> bool:
    """Return whether a file or folder of this name was left by another program."""
    return part.startswith((".", "._", "SYNOFILE_THUMB")) or part.lower() in LEAVINGS


def listing_of(entries: Iterable[tuple[str, Head]], *, where: str) -> Listing:
    """Sort out the files of a set.

    Parameters
    ----------
    entries : iterable of (path, callable)
        Relative path with forward slashes (a folder that is not looked into ends in one), and what returns the file's
        first bytes; it is only asked where the ending is not a picture's.
    where : str
        What to call the set in messages.

    Raises
    ------
    PictureError
        Two names differ only in how accents are written.
    """
    images: dict[str, str] = {}
    left_out: dict[str, list[str]] = {}
    for path, head in entries:
        name = nfc(path)
        kind = _left_out_as(name, head)
        if kind is not None:
            left_out.setdefault(kind, []).append(name)
        elif name in images:
            raise PictureError(
                f"{where} holds {images[name]!r} and {path!r}, which are one name but for how accents are written; "
                "rename one"
            )
        else:
            images[name] = path
    return Listing(dict(sorted(images.items())), {kind: sorted(names) for kind, names in left_out.items()})


def _left_out_as(name: str, head: Head) -> str | None:
    """Return the kind under which a file is left out, or None for an image."""
    if any(is_leaving(part) for part in PurePosixPath(name).parts) or name.lower().endswith(_COPIES):
        return LEAVING
    if name.endswith("/"):
        return "folder not looked into"
    if has_image_ending(name):
        return None
    first = head()
    return None if picture_format(first, name) else kind_of(first, name)


def class_of(name: str) -> str:
    """Return the class of an image: the first folder of its name, nothing where there is none."""
    return name.partition("/")[0] if "/" in name else ""


def classes_of(names: Sequence[str], *, where: str) -> Classes:
    """Return the classes of a set: the first folder below its root; none where all images lie at the top.

    Raises
    ------
    PictureError
        Images lie beside class folders: they have no class. The folders are the splits of a set, not its classes.
    """
    tops = [class_of(name) for name in names]
    folders = {top for top in tops if top}
    strays = [name for name, top in zip(names, tops, strict=True) if not top]
    if folders and strays:
        shown = ", ".join(strays[:NAMED]) + (", ..." if len(strays) > NAMED else "")
        raise PictureError(
            f"{where}: {len(strays)} image(s) lie beside the class folders ({', '.join(sorted(folders)[:NAMED])}) and "
            f"have no class: {shown}; move them into a class folder or out of the set"
        )
    if folders and {folder.lower() for folder in folders} <= _SPLITS and all(name.count("/") > 1 for name in names):
        raise PictureError(
            f"{where}: the folders {', '.join(sorted(folders))} are parts of a set, not classes; give one of them alone"
        )
    ranked = tuple(sorted(folders))
    ranks = {name: rank for rank, name in enumerate(ranked)}
    return Classes(ranked, tuple(ranks[top] for top in tops if top))
