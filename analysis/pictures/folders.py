"""Sets of pictures in folders on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from analysis.pictures.errors import PictureError
from analysis.pictures.formats import HEAD_BYTES
from analysis.pictures.listing import Head, Listing, is_leaving, listing_of

__all__ = ["list_folder", "walk"]


def list_folder(root: Path | str, *, may_leave: bool = True, most: int | None = None) -> Listing:
    """List the images under a folder.

    Parameters
    ----------
    root : path
    may_leave : bool
        Follow links that lead out of the folder; otherwise they are refused by name.
    most : int, optional
        How many files it may hold.

    Raises
    ------
    PictureError
        No such folder, a folder that cannot be read, a link in a circle, to nothing or (where refused) out of the
        folder, a name that is not valid Unicode, or too many files.
    """
    root = Path(root)
    if not root.is_dir():
        raise PictureError(f"no image folder at {root}; check the path")
    home = None if may_leave else root.resolve()
    return listing_of(_counted(walk(root, home=home), root, most), where=str(root))


def _counted(entries: Iterator[tuple[str, Path]], root: Path, most: int | None) -> Iterator[tuple[str, Head]]:
    for number, (name, path) in enumerate(entries, start=1):
        if most is not None and number > most:
            raise PictureError(f"{root} holds more than {most} files; bring them in parts")
        yield name, partial(_head, path)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror}") from error


def walk(root: Path, *, home: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, path) of every file; of a folder that another program left, its name with a slash.

    Linked folders are followed. `home` is the folder that no link may leave; see `list_folder` for what is raised.
    """
    yield from _walk(root, "", (root.resolve(),), home)


def _walk(folder: Path, prefix: str, above: tuple[Path, ...], home: Path | None) -> Iterator[tuple[str, Path]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise PictureError(f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        path, name = folder / entry.name, prefix + entry.name
        _check_encoding(path, entry.name)
        if is_leaving(entry.name):
            yield name + ("/" if entry.is_dir(follow_symlinks=False) else ""), path
            continue
        if any(ord(letter) < 32 for letter in entry.name):
            raise PictureError(f"{str(path)!r} has a control character in its name, a new line perhaps; rename it")
        if entry.is_symlink():
            _check_link(path, above, home)
        if entry.is_dir():
            yield from _walk(path, f"{name}/", (*above, path.resolve()), home)
        elif entry.is_file():
            yield name, path
        else:
            raise PictureError(f"{path} is neither a file nor a folder; remove it")


def _check_encoding(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise PictureError(f"{str(path)!r} has a name that is not valid Unicode; rename it") from None


def _check_link(path: Path, above: tuple[Path, ...], home: Path | None) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise PictureError(f"{path} is a link that leads nowhere; fix or remove it") from None
    if target in above:
        raise PictureError(f"{path} is a link to a folder that holds it; remove it")
    if home is not None and not target.is_relative_to(home):
        raise PictureError(f"{path} is a link that leads out of {home}; copy what it leads to there instead")
