"""Where imported images come from: folders on disk, or one zip. Both give (relative path, bytes) and nothing more.

Beside the arms' folders may lie a table of the pairs and the references that it names. What is an image and what is
left out is decided by `analysis.pictures`, as for training and metrics.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from analysis.pictures.archives import Limits, PictureArchive, open_archive
from analysis.pictures.errors import PictureError
from analysis.pictures.folders import list_folder
from analysis.pictures.listing import NAMED, Listing, is_leaving, nfc, text_beside
from survey.exceptions import BadArchive
from survey.services.images.manifest import (
    MOST_MANIFEST_BYTES,
    MOST_TEXT_BYTES,
    PairManifest,
    is_manifest,
    manifest_read,
)

__all__ = [
    "WANTED_TREE",
    "ArmFolders",
    "FolderSource",
    "ImportSource",
    "Limits",
    "ZipSource",
    "folder_sources",
    "zip_sources",
]

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

    def text_beside(self, name: str) -> bytes | None:
        """Return the bytes of the ``.txt`` file beside one of :meth:`names`; None where there is none."""

    def notes(self, *, are_texts_read: bool = False) -> list[str]:
        """Return what the last :meth:`names` left out, and how the source was understood."""


class ArmFolders(dict[str, ImportSource]):
    """The images by arm; beside their folders a table of the pairs, and the references that it names."""

    def __init__(
        self,
        arms: Mapping[str, ImportSource],
        manifest: PairManifest | None = None,
        read_reference: Callable[[str], bytes] | None = None,
    ) -> None:
        super().__init__(arms)
        self.manifest = manifest
        self._read_reference = read_reference

    @classmethod
    def of(cls, arms: Mapping[str, ImportSource]) -> ArmFolders:
        """Return folders that have nothing beside them, unless they say so themselves."""
        return arms if isinstance(arms, ArmFolders) else cls(arms)

    def reference(self, path: str) -> bytes:
        """Return the bytes of a reference. Raises BadArchive where it cannot be read."""
        if self._read_reference is None:
            raise BadArchive(f"the reference {path} is missing: nothing lies beside the folders")
        return self._read_reference(path)


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

    def notes(self, *, are_texts_read: bool = False) -> list[str]:
        listing = self._listing.without(self._listing.texts_beside()) if are_texts_read else self._listing
        return [f"{self._folder}: {note}" for note in listing.notes()]

    def read(self, name: str) -> bytes:
        return _read(self._folder / self._listing.paths[name], self._limits.file_bytes)

    def text_beside(self, name: str) -> bytes | None:
        path = self._folder / text_beside(self._listing.paths[name])
        # As for images: a link must not lead out of the folder.
        if not path.is_file() or not path.resolve().is_relative_to(self._folder.resolve()):
            return None
        return _read(path, MOST_TEXT_BYTES)


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise BadArchive(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise BadArchive(f"{path} is larger than {most} bytes")
    return content


def folder_sources(
    folders: Mapping[str, Path], *, manifest: Path | None = None, limits: Limits | None = None
) -> ArmFolders:
    """Return the arms' folders with the table beside them; ``manifest`` names one that lies elsewhere.

    References are relative to the folder of the table.

    Raises
    ------
    BadArchive
        A folder or the table is missing, or there are two tables.
    ImportRefused
        Naming the lines of the table that are wrong.
    """
    arms = {arm: FolderSource(folder, limits) for arm, folder in folders.items()}
    _refuse_one_folder_twice(folders)
    path = manifest or _manifest_beside(folders)
    if path is None:
        return ArmFolders(arms)
    home, most = path.parent, (limits or Limits()).file_bytes
    table = manifest_read(_read(path, MOST_MANIFEST_BYTES), name=path.name)
    return ArmFolders(arms, table, lambda name: _read(_inside(home, name), most))


def _refuse_one_folder_twice(folders: Mapping[str, Path]) -> None:
    seen: dict[Path, str] = {}
    for arm, folder in folders.items():
        other = seen.setdefault(folder.resolve(), arm)
        if other != arm:
            raise BadArchive(f"arms {other} and {arm} are one folder, {folder}; give each arm the folder of its images")


def _manifest_beside(folders: Mapping[str, Path]) -> Path | None:
    """Return the table beside the folders, if they all lie in one."""
    homes = {folder.resolve().parent for folder in folders.values()}
    if len(homes) != 1:
        return None
    (home,) = homes
    found = sorted(path for path in home.iterdir() if is_manifest(path.name) and path.is_file())
    if len(found) > 1:
        raise BadArchive(f"{home} holds {' and '.join(path.name for path in found)}; keep one")
    return found[0] if found else None


def _inside(home: Path, name: str) -> Path:
    """Return the path of a file below ``home``; no link leads out of it."""
    # A table is in composed accents; some systems take the names of files apart.
    spellings = [home / name, home / unicodedata.normalize("NFD", name)]
    path = next((path for path in spellings if path.is_file()), None)
    if path is None:
        raise BadArchive(f"the reference {name} is missing in {home}")
    if not path.resolve().is_relative_to(home.resolve()):
        raise BadArchive(f"the reference {path} is a link that leads out of {home}; copy the file there instead")
    return path


class ZipSource:
    """The part of a zip below one folder, which is an arm."""

    def __init__(self, archive: PictureArchive, top: str, names: Mapping[str, str], wrapper: _Wrapper) -> None:
        self.label = f"{top}/ of the zip"
        self._archive, self._names, self._wrapper = archive, names, wrapper

    def names(self) -> list[str]:
        return sorted(self._names)

    def notes(self, *, are_texts_read: bool = False) -> list[str]:
        return self._wrapper.notes(are_texts_read=are_texts_read)

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(self._names[name])
        except PictureError as error:
            raise BadArchive(str(error)) from None

    def text_beside(self, name: str) -> bytes | None:
        return self._wrapper.read(text_beside(self._names[name]), MOST_TEXT_BYTES)


class _Wrapper:
    """A zip around the arms: its table, its references, and how its folders were understood."""

    def __init__(self, archive: PictureArchive, given: PairManifest | None) -> None:
        self._archive, self._listing = archive, archive.listing
        self._stored = {nfc(path): path for path in [*archive.others(), *self._listing.paths.values()]}
        own = self._own_manifest() if given is None else None
        self._used = {own} if own else set()
        self.manifest = given if own is None else manifest_read(self._bytes(own, MOST_MANIFEST_BYTES), name=own)
        references = self.manifest.references if self.manifest else frozenset()
        images = [name for name in self._listing.names if not _ends_in(name, references)]
        self.around = _around(images)
        # What references are relative to: where the table lies, or what holds the arms.
        self._home = self.around if own is None else _folder(own)
        self._beside = {path.partition("/")[0] for path in references}
        self.arms = self._sorted_out()

    def _own_manifest(self) -> str | None:
        """Return the name of the table that lies above all images."""
        others = [name for name in self._stored if not any(map(is_leaving, PurePosixPath(name).parts))]
        above = [name for name in others if all(image.startswith(_folder(name)) for image in self._listing.names)]
        above = [name for name in above if is_manifest(name)]
        # Inside the one folder around everything, there may be both that folder's and the zip's own.
        if len(above) > 1:
            raise BadArchive(f"the zip holds {' and '.join(sorted(above))}; keep one")
        return above[0] if above else None

    def _sorted_out(self) -> dict[str, dict[str, str]]:
        """Return {arm: {path below it: name in the zip}}. A folder that holds references is no arm."""
        arms: dict[str, dict[str, str]] = {}
        loose: list[str] = []
        for name in self._listing.names:
            if name.startswith(self._home) and name.removeprefix(self._home).partition("/")[0] in self._beside:
                continue
            arm, slash, below = name.removeprefix(self.around).partition("/")
            if slash:
                arms.setdefault(arm, {})[below] = name
            else:
                loose.append(name)
        if loose:
            folders = f"beside the folders {', '.join(sorted(arms)[:NAMED])}" if arms else "in no folder"
            named = ", ".join(loose[:NAMED]) + (", ..." if len(loose) > NAMED else "")
            raise BadArchive(f"{len(loose)} image(s) of the zip lie {folders}: {named}; {WANTED_TREE}")
        return arms

    def notes(self, *, are_texts_read: bool) -> list[str]:
        texts = self._listing.texts_beside() if are_texts_read else set()
        notes = [f"the zip: {note}" for note in self._listing.without(self._used | texts).notes()]
        if self._beside:
            notes.insert(0, f"the zip: {', '.join(sorted(self._beside))} holds references and is no arm")
        if self.around:
            notes.insert(0, f"everything lies in the folder {self.around!r} of the zip; its folders are the arms")
        return notes

    def reference(self, path: str) -> bytes:
        content = self.read(self._home + path, self._archive.limits.file_bytes)
        if content is None:
            raise BadArchive(f"the reference {path} is missing in the zip")
        return content

    def read(self, name: str, most: int) -> bytes | None:
        """Return the bytes of any file by its name in composed accents; None where there is none."""
        return self._bytes(name, most) if name in self._stored else None

    def _bytes(self, name: str, most: int) -> bytes:
        try:
            return self._archive.read_other(self._stored[name], most=most)
        except PictureError as error:
            raise BadArchive(str(error)) from None


def _folder(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).name)


def _ends_in(name: str, paths: frozenset[str]) -> bool:
    parts = name.split("/")
    return any("/".join(parts[depth:]) in paths for depth in range(len(parts)))


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


@contextmanager
def zip_sources(
    file: IO[bytes], limits: Limits | None = None, *, manifest: PairManifest | None = None
) -> Iterator[ArmFolders]:
    """Open a zip whose top folders are the arms, or whose one folder holds them; give a source per arm.

    ``manifest`` takes the place of a table inside.

    Raises
    ------
    BadArchive
        If it is no zip, its names are unsafe, it holds no images or unpacks to more than the limits allow.
    ImportRefused
        Naming the lines of its table that are wrong.
    """
    try:
        with open_archive(file, limits) as archive:
            if not archive.listing.paths:
                raise BadArchive(f"the zip holds no images; found: {archive.listing.found()}; {WANTED_TREE}")
            zipped = _Wrapper(archive, manifest)
            arms = {
                arm: ZipSource(archive, zipped.around + arm, names, zipped)
                for arm, names in sorted(zipped.arms.items())
            }
            yield ArmFolders(arms, zipped.manifest, zipped.reference)
    except PictureError as error:
        raise BadArchive(str(error)) from None
