"""Sets of pictures in a zip. Files are read into memory one by one; nothing is unpacked to disk."""

from __future__ import annotations

import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO

from analysis.pictures.errors import PictureError
from analysis.pictures.formats import HEAD_BYTES, kind_of
from analysis.pictures.listing import Listing, is_leaving, listing_of

__all__ = ["DAMAGED", "Limits", "PictureArchive", "open_archive"]

# What the zip module and its decompressors raise on damaged files, as a fuzzer found them.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
    struct.error,
)
_DRIVE = re.compile(r"[A-Za-z]:")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a set may cost. The ratio refuses archives that unpack to far more than they hold."""

    files: int = 200_000
    file_bytes: int = 64 * 1024**2
    total_bytes: int = 16 * 1024**3
    ratio: float = 100.0
    side_px: int = 8192


class PictureArchive:
    """An open zip: its images, and their bytes."""

    def __init__(self, archive: zipfile.ZipFile, limits: Limits) -> None:
        self._archive, self.limits = archive, limits
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            # Not by `is_dir`, which fails on an empty name and looks no further than a NUL.
            if not info.orig_filename.endswith("/"):
                self._enter(info)
        self._check_size()
        self.listing: Listing = listing_of(
            ((path, partial(self._head, path)) for path in self._entries), where="the zip"
        )

    def _enter(self, info: zipfile.ZipInfo) -> None:
        path = _safe_path(info, self.limits)
        if path in self._entries:
            raise PictureError(f"{info.filename!r} is in the zip twice")
        self._entries[path] = info
        if len(self._entries) > self.limits.files:
            raise PictureError(f"the zip holds more files than allowed; allowed are {self.limits.files}")

    def _check_size(self) -> None:
        packed = sum(info.compress_size for info in self._entries.values())
        unpacked = sum(info.file_size for info in self._entries.values())
        limits = self.limits
        if unpacked > limits.total_bytes or unpacked > limits.ratio * max(packed, 1):
            raise PictureError(
                f"the zip unpacks from {packed} to {unpacked} bytes; allowed are {limits.total_bytes} and a factor of "
                f"{limits.ratio:g}"
            )

    def _head(self, path: str) -> bytes:
        return self._read(path, HEAD_BYTES)

    def read(self, name: str) -> bytes:
        """Return the bytes of an image of the listing.

        Raises
        ------
        PictureError
            It is damaged, packed in a way that is not known, or larger than allowed.
        """
        most = self.limits.file_bytes
        # The size in the directory is the archive's own claim: count what really comes out.
        content = self._read(self.listing.paths[name], most + 1)
        if len(content) > most:
            raise PictureError(f"{name} in the zip unpacks to more than {most} bytes")
        return content

    def others(self) -> list[str]:
        """Return the paths of all files that are no images of the listing, sorted."""
        return sorted(set(self._entries) - set(self.listing.paths.values()))

    def read_other(self, path: str, *, most: int) -> bytes:
        """Return the bytes of any file by its path as stored, if it has ``most`` at the most.

        Raises
        ------
        PictureError
            There is no such file, it is damaged or larger than allowed.
        """
        if path not in self._entries:
            raise PictureError(f"the zip holds no file {path}")
        content = self._read(path, most + 1)
        if len(content) > most:
            raise PictureError(f"{path} in the zip unpacks to more than {most} bytes")
        return content

    def _read(self, path: str, count: int) -> bytes:
        try:
            with self._archive.open(self._entries[path]) as file:
                return file.read(count)
        except DAMAGED as error:
            raise PictureError(f"{path} in the zip cannot be read: {_reason(error)}; zip it again") from None


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _safe_path(info: zipfile.ZipInfo, limits: Limits) -> str:
    """Return an entry's path, or refuse what could reach outside or hide its size."""
    name = _decoded_name(info)
    path = PurePosixPath(name)
    is_outside = path.is_absolute() or not path.parts or ".." in path.parts or _DRIVE.match(name)
    # A folder with an icon of its own has a file `Icon` and a carriage return on a Mac.
    is_plain = all(ord(letter) >= 32 for letter in name) or (is_leaving(path.name) and "\0" not in name)
    if is_outside or "\\" in name or not is_plain:
        raise PictureError(f"the zip holds the unsafe name {name!r}; zip the folders again with plain relative names")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise PictureError(f"{name!r} in the zip is a link; put the file itself there")
    if info.flag_bits & _ENCRYPTED:
        raise PictureError(f"{name!r} in the zip is encrypted; zip it again without a password")
    if info.file_size > limits.file_bytes:
        raise PictureError(f"{name!r} in the zip unpacks to {info.file_size} bytes; allowed are {limits.file_bytes}")
    return str(path)


def _decoded_name(info: zipfile.ZipInfo) -> str:
    """Return an entry's name; without the mark for UTF-8 it is that nevertheless, or of an unknown code page."""
    if "\0" in info.orig_filename:
        # The zip module cuts the name there: it would be read as another one.
        return info.orig_filename
    if info.flag_bits & _UTF8_NAME or info.orig_filename.isascii():
        return info.filename
    # The zip module has read it as code page 437, which loses nothing.
    raw = info.orig_filename.encode("cp437")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if any(is_leaving(part) for part in PurePosixPath(info.filename).parts):
            return info.filename
        raise PictureError(
            f"the zip names a file {raw!r} in a code page that it does not tell (it would read as "
            f"{info.filename!r}); zip the folders again with a program that writes UTF-8 names, or rename them"
        ) from None


@contextmanager
def open_archive(file: IO[bytes], limits: Limits | None = None) -> Iterator[PictureArchive]:
    """Open a zip of pictures.

    Raises
    ------
    PictureError
        It is no zip or a damaged one, its names are unsafe, or it unpacks to more than the limits allow.
    """
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED as error:
        file.seek(0)
        found = kind_of(file.read(HEAD_BYTES))
        if found == "zip archive":
            seen = f"a zip archive cut short or damaged ({_reason(error)})"
        else:
            seen = f"no zip archive (found: {found})"
        raise PictureError(f"the file is {seen}; zip one folder per arm and send that") from None
    with archive:
        yield PictureArchive(archive, limits or Limits())
