"""Where imported images come from: folders on disk, or one zip. Both give (relative path, bytes) and nothing more."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from survey.exceptions import BadArchive

__all__ = ["FolderSource", "ImportSource", "Limits", "ZipSource", "zip_sources"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an import may cost. The ratio refuses archives that unpack to far more than they hold."""

    files: int = 200_000
    file_bytes: int = 64 * 1024**2
    total_bytes: int = 16 * 1024**3
    ratio: float = 100.0
    side_px: int = 8192


class ImportSource(Protocol):
    """One arm's images."""

    label: str

    def names(self) -> list[str]:
        """Return the relative paths of all images, sorted, with forward slashes."""

    def read(self, name: str) -> bytes:
        """Return the bytes of one of :meth:`names`."""


def _is_image(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES


class FolderSource:
    """A folder of images. Links that lead outside are refused."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        if not folder.is_dir():
            raise BadArchive(f"{folder} is no folder; give the folder that holds the arm's images")
        self.label = str(folder)
        self._folder = folder.resolve()
        self._limits = limits or Limits()

    def names(self) -> list[str]:
        found = []
        for path in self._folder.rglob("*"):
            relative = PurePosixPath(path.relative_to(self._folder).as_posix())
            if path.is_file() and _is_image(relative):
                if not path.resolve().is_relative_to(self._folder):
                    raise BadArchive(f"{path} is a link that leads out of {self._folder}; copy the file there instead")
                found.append(str(relative))
                if len(found) > self._limits.files:
                    raise BadArchive(f"{self._folder} holds more than {self._limits.files} images; import it in parts")
        return sorted(found)

    def read(self, name: str) -> bytes:
        path = self._folder / name
        if path.stat().st_size > self._limits.file_bytes:
            raise BadArchive(f"{path} is larger than {self._limits.file_bytes} bytes")
        return path.read_bytes()


class ZipSource:
    """The part of a zip below one top folder. Entries are read into memory one by one; nothing is unpacked to disk."""

    def __init__(self, archive: zipfile.ZipFile, top: str, entries: dict[str, zipfile.ZipInfo], limits: Limits) -> None:
        self.label = f"{top}/ of the zip"
        self._archive = archive
        self._entries = entries
        self._limits = limits

    def names(self) -> list[str]:
        return sorted(self._entries)

    def read(self, name: str) -> bytes:
        try:
            with self._archive.open(self._entries[name]) as file:
                # The size in the directory is the archive's own claim: count what really comes out.
                content = file.read(self._limits.file_bytes + 1)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise BadArchive(f"{name} in the zip cannot be read: {error}") from None
        if len(content) > self._limits.file_bytes:
            raise BadArchive(f"{name} in the zip unpacks to more than {self._limits.file_bytes} bytes")
        return content


def _checked(info: zipfile.ZipInfo, limits: Limits) -> PurePosixPath:
    """Return an entry's path, or refuse what could reach outside or hide its size."""
    name = info.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\x00" in name or ":" in path.parts[0]:
        raise BadArchive(f"the zip holds the unsafe name {name!r}; zip the folders again with plain relative names")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise BadArchive(f"{name!r} in the zip is a link; put the file itself there")
    if info.flag_bits & 0x1:
        raise BadArchive(f"{name!r} in the zip is encrypted; zip it again without a password")
    if info.file_size > limits.file_bytes:
        raise BadArchive(f"{name!r} in the zip unpacks to {info.file_size} bytes; allowed are {limits.file_bytes}")
    return path


@contextmanager
def zip_sources(file: IO[bytes], limits: Limits | None = None) -> Iterator[dict[str, ZipSource]]:
    """Open a zip whose top folders are the arms; give a source per arm.

    Raises
    ------
    BadArchive
        If it is no zip, its names are unsafe, or it unpacks to more than the limits allow.
    """
    limits = limits or Limits()
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise BadArchive(f"the file is no zip archive ({error}); zip one folder per arm and send that") from None
    with archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if len(infos) > limits.files:
            raise BadArchive(f"the zip holds {len(infos)} files; allowed are {limits.files}")
        packed = sum(info.compress_size for info in infos)
        unpacked = sum(info.file_size for info in infos)
        if unpacked > limits.total_bytes or unpacked > limits.ratio * max(packed, 1):
            raise BadArchive(
                f"the zip unpacks from {packed} to {unpacked} bytes; allowed are {limits.total_bytes} and a factor of "
                f"{limits.ratio:g}"
            )
        arms: dict[str, dict[str, zipfile.ZipInfo]] = {}
        for info in infos:
            path = _checked(info, limits)
            if not _is_image(path):
                continue
            if len(path.parts) < 2:
                raise BadArchive(f"{path} lies beside the folders; the zip holds one folder per arm, images inside")
            entries = arms.setdefault(path.parts[0], {})
            name = str(PurePosixPath(*path.parts[1:]))
            if name in entries:
                raise BadArchive(f"{info.filename!r} is in the zip twice")
            entries[name] = info
        yield {top: ZipSource(archive, top, entries, limits) for top, entries in sorted(arms.items())}
