"""Files that are either absent, old or complete: written aside, flushed to the disk, then renamed into place."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write `chunks` to `path` so that a crash or a full disk never leaves a partial file under that name.

    Raises
    ------
    OSError
        The disk is full or the folder is not writable; `path` is then what it was before, and the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, for a rename is atomic within one file system alone; the pid tells writers apart.
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            # Before the rename: after a power cut the name must not lead to blocks that were never written.
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise OSError(
            error.errno, f"could not write {path}: {error.strerror}; what stood there is unchanged"
        ) from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LOCK = ".lock"


class FolderInUse(RuntimeError):
    """Another process writes into the folder. Wait for it to end, or stop it; it lets go when it is killed, too."""


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Keep a folder for this process alone while the block runs; the system lets go when the process dies.

    Raises
    ------
    FolderInUse
        At once, when another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Appending leaves the file as it is; it is never removed, or two could lock two files of one name.
    with (folder / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(f"another process writes into {folder}; wait for it to end, or stop it") from None
        yield


def is_locked(folder: Path) -> bool:
    """Return whether a process keeps the folder for itself at the moment."""
    try:
        with (folder / _LOCK).open("rb") as file:
            # Shared: two that only look must not take each other for a writer.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
