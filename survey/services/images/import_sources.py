"""Where imported images come from: folders on disk, or one zip. Both give (relative path, bytes) and nothing more.

What is an image and what is left out is decided by `analysis.pictures`, as for training and metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from analysis.pictures.archives import Limits, PictureArchive, open_archive
from analysis.pictures.errors import PictureError
from analysis.pictures.folders import list_folder
from analysis.pictures.listing import Listing
from survey.exceptions import BadArchive

__all__ = ["WANTED_TREE", "FolderSource", "ImportSource", "Limits", "ZipSource", "zip_sources"]

WANTED_TREE = """wanted is a folder per arm, and in each the same paths (the first folder is the class):
    vanilla/cat/0001.png
    vanilla/dog/0001.png
    robust/cat/0001.png
    robust/dog/0001.png"""
# Of a path in a wrapped zip, below the folder around everything: arm, class, image.
_LEAST_DEPTH = 3


class ImportSource(Protocol):
    """One arm's images."""

    label: str

    def names(self) -> list[str]:
        """Return the relative paths of all images, sorted, with forward slashes."""

    def read(self, name: str) -> bytes:
        """Return the bytes of one of :meth:`names`."""

    def notes(self) -> list[str]:
        """Return what the last :meth:`names` left out, and how the source was understood."""


class FolderSource:
    """A folder of images. Links that lead outside are refused."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        if not folder.is_dir():
            raise BadArchive(f"{folder} is no folder; give the folder that holds the arm's images")
        self.label = str(folder)
        self._folder = folder
        self._limits = limits or Limits()
        self._listing = Listing({})

    def names(self) -> list[str]:
        try:
            self._listing = list_folder(self._folder, may_leave=False, most=self._limits.files)
        except PictureError as error:
            raise BadArchive(str(error)) from None
        return list(self._listing.names)

    def notes(self) -> list[str]:
        return [f"{self._folder}: {note}" for note in self._listing.notes()]

    def read(self, name: str) -> bytes:
        path = self._folder / self._listing.paths[name]
        try:
            with path.open("rb") as file:
                content = file.read(self._limits.file_bytes + 1)
        except OSError as error:
            raise BadArchive(f"{path} cannot be read: {error.strerror}") from None
        if len(content) > self._limits.file_bytes:
            raise BadArchive(f"{path} is larger than {self._limits.file_bytes} bytes")
        return content


class ZipSource:
    """The part of a zip below one folder, which is an arm."""

    def __init__(self, archive: PictureArchive, top: str, names: Mapping[str, str], notes: Sequence[str]) -> None:
        self.label = f"{top}/ of the zip"
        self._archive, self._names, self._notes = archive, names, notes

    def names(self) -> list[str]:
        return sorted(self._names)

    def notes(self) -> list[str]:
        return list(self._notes)

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(self._names[name])
        except PictureError as error:
            raise BadArchive(str(error)) from None


def _around(names: Sequence[str]) -> str:
    """Return the folder around everything, or nothing where the folders at the top are the arms.

    One folder at the top may also be a single arm. It is only taken for a wrapper where two folders or more lie in it
    and every image is at least three levels below it: arm, class, image.
    """
    parts = [name.split("/") for name in names]
    depth = 0
    while all(len(one) > depth + 1 for one in parts) and len({one[depth] for one in parts}) == 1:
        depth += 1
    is_wrapped = depth and all(len(one) >= depth + _LEAST_DEPTH for one in parts)
    return "/".join(parts[0][:depth]) + "/" if is_wrapped else ""


def _arms(listing: Listing) -> tuple[str, dict[str, dict[str, str]]]:
    """Return the folder around everything, and {arm: {path below the arm: path in the zip}}."""
    around = _around(listing.names)
    arms: dict[str, dict[str, str]] = {}
    for name in listing.names:
        arm, slash, below = name.removeprefix(around).partition("/")
        if not slash:
            raise BadArchive(f"{name} lies beside the folders; {WANTED_TREE}")
        arms.setdefault(arm, {})[below] = name
    return around, arms


@contextmanager
def zip_sources(file: IO[bytes], limits: Limits | None = None) -> Iterator[dict[str, ZipSource]]:
    """Open a zip whose top folders are the arms, or whose one folder holds them; give a source per arm.

    Raises
    ------
    BadArchive
        If it is no zip, its names are unsafe, it holds no images or unpacks to more than the limits allow.
    """
    try:
        with open_archive(file, limits) as archive:
            listing = archive.listing
            if not listing.paths:
                raise BadArchive(f"the zip holds no images; found: {listing.found()}; {WANTED_TREE}")
            around, arms = _arms(listing)
            notes = [f"the zip: {note}" for note in listing.notes()]
            if around:
                notes.insert(0, f"everything lies in the folder {around!r} of the zip; its folders are the arms")
            yield {arm: ZipSource(archive, around + arm, names, notes) for arm, names in sorted(arms.items())}
    except PictureError as error:
        raise BadArchive(str(error)) from None
