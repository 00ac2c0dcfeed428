"""Where images to be measured come from: folders, `.npz` batches, arrays. Streamed in batches, never loaded whole."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from analysis.pictures.archives import DAMAGED
from analysis.pictures.colour import PIXEL_RULES, read_in_srgb
from analysis.pictures.errors import PictureError
from analysis.pictures.folders import list_folder
from analysis.pictures.listing import classes_of
from analysis.pictures.pixels import note_counts
from generation.features.inception import file_sha256

__all__ = [
    "ArraySource",
    "FileSource",
    "ImageSet",
    "LabelledImages",
    "NpzSource",
    "folder_source",
    "in_batches",
    "read_image",
]

log = logging.getLogger(__name__)


class LabelledImages(NamedTuple):
    """A batch: ``images`` uint8 (B, H, W, 3 or 1) of one size, ``labels`` int64 (B,), -1 where the class is unknown."""

    images: np.ndarray
    labels: np.ndarray


class ImageSet(Protocol):
    """A finite set of images in a fixed order."""

    name: str

    def __len__(self) -> int: ...

    def digest(self) -> str:
        """Return a SHA-256 that changes when any image, label or the order changes."""
        ...

    def batches(self, size: int) -> Iterator[LabelledImages]:
        """Yield the images in order, ``size`` at a time; images of another size start a new batch."""
        ...


def read_image(file: Path | BinaryIO, *, name: str = "", notes: list[str] | None = None) -> np.ndarray:
    """Return the pixels of an image file, uint8 (H, W, 3).

    Parameters
    ----------
    file : Path or binary file
    name : str
        What to call it in messages; a path names itself.
    notes : list of str, optional
        Gets what was changed on the way, a clause each.

    It is read by the rules of `docs/image-sets.md`; grey becomes RGB.

    Raises
    ------
    ValueError
        If the file is refused by these rules, naming it and the reason.
    """
    name = name or str(file)
    try:
        content = file.read_bytes() if isinstance(file, Path) else file.read()
        picture = read_in_srgb(content, name=name)
    except (OSError, PictureError) as error:
        raise ValueError(f"{name} {error}") from error
    if notes is not None:
        notes += picture.notes
    # Rows of Pillow's buffer; networks take the array without a further copy.
    return np.ascontiguousarray(picture.image.convert("RGB"))


def in_batches(images: Iterable[tuple[np.ndarray, int]], size: int) -> Iterator[LabelledImages]:
    """Gather (image, label) into batches of at most ``size`` images of one shape, keeping their order."""
    held: list[tuple[np.ndarray, int]] = []
    for image, label in images:
        # A batch is one array; images of another size cannot join it, and resizing is the network's part.
        if held and (len(held) == size or image.shape != held[0][0].shape):
            yield _stacked(held)
            held = []
        held.append((image, label))
    if held:
        yield _stacked(held)


def _stacked(held: list[tuple[np.ndarray, int]]) -> LabelledImages:
    images, labels = zip(*held, strict=True)
    return LabelledImages(np.stack(images), np.array(labels, dtype=np.int64))


@dataclass(frozen=True)
class FileSource:
    """Image files in a given order.

    Parameters
    ----------
    name : str
    files : sequence of Path
    labels : sequence of int, optional
        Class of each file.
    notes : sequence of str
        What a folder held besides.
    names : sequence of str
        The files' names in their folder.
    """

    name: str
    files: Sequence[Path]
    labels: Sequence[int] | None = None
    notes: Sequence[str] = ()
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError(f"{self.name}: no images")
        if self.labels is not None and len(self.labels) != len(self.files):
            raise ValueError(f"{self.name}: {len(self.labels)} labels for {len(self.files)} images")

    def __len__(self) -> int:
        return len(self.files)

    def digest(self) -> str:
        # The rules too: the same files read in another way are other pixels, hence other features.
        whole = hashlib.sha256(f"pixels {PIXEL_RULES}\n".encode())
        for i, path in enumerate(self.files):
            whole.update(f"{file_sha256(path)} {self._label(i)}\n".encode())
        return whole.hexdigest()

    def _label(self, i: int) -> int:
        return -1 if self.labels is None else int(self.labels[i])

    def batches(self, size: int) -> Iterator[LabelledImages]:
        notes: list[str] = []
        yield from in_batches(
            ((read_image(path, notes=notes), self._label(i)) for i, path in enumerate(self.files)), size
        )
        for line in note_counts(notes):
            log.warning("%s: %s", self.name, line)


def folder_source(folder: Path, *, name: str | None = None) -> FileSource:
    """Return the images under a folder, in the order of their relative paths; sub-folders at the top name the classes.

    What counts as an image and as a class is said in `docs/image-sets.md`; what is left out is logged.

    Raises
    ------
    ValueError
        If there is no such folder, it holds no images, or images lie beside the class folders.
    """
    folder = Path(folder)
    listing = list_folder(folder)
    if not listing.paths:
        raise ValueError(f"no images under {folder}; found: {listing.found()}")
    for note in listing.notes():
        log.warning("%s: %s", folder, note)
    classes = classes_of(listing.names, where=str(folder))
    return FileSource(
        name or folder.name,
        [folder / path for path in listing.paths.values()],
        classes.labels or None,
        listing.notes(),
        listing.names,
    )


@dataclass(frozen=True)
class ArraySource:
    """Images in memory.

    Parameters
    ----------
    name : str
    images : array (n, H, W, 3) or (n, H, W, 1), uint8
    labels : array (n,), integer, optional
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or len(self.images) == 0:
            found = f"{self.images.dtype} {self.images.shape}"
            raise ValueError(f"{self.name}: images are {found}; expected uint8 (n, H, W, C), n at least 1")

    def __len__(self) -> int:
        return len(self.images)

    def digest(self) -> str:
        # The shape first: the same bytes in other rows are other images.
        whole = hashlib.sha256(str(self.images.shape).encode())
        whole.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            whole.update(np.ascontiguousarray(self.labels, dtype=np.int64).data)
        return whole.hexdigest()

    def batches(self, size: int) -> Iterator[LabelledImages]:
        labels = np.full(len(self), -1) if self.labels is None else np.asarray(self.labels)
        for start in range(0, len(self), size):
            yield LabelledImages(self.images[start : start + size], labels[start : start + size].astype(np.int64))


class NpzSource:
    """Images ``arr_0`` and labels ``arr_1`` of an `.npz` batch, as ADM's evaluator reads it, streamed from the archive.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        If the file is no `.npz`, is cut short, or holds no uint8 images ``arr_0``.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = Path(path), Path(path).name
        self.members = npz_members(self.path)
        if "arr_0" not in self.members:
            raise ValueError(f"{path} holds {', '.join(self.members)} but no images (arr_0)")
        self.shape, dtype = self.members["arr_0"]
        if dtype != np.uint8 or len(self.shape) != 4 or self.shape[3] not in (1, 3):
            raise ValueError(f"{path}: arr_0 is {dtype} {self.shape}; expected uint8 (n, H, W, 3)")

    def __len__(self) -> int:
        return self.shape[0]

    def digest(self) -> str:
        return file_sha256(self.path)

    def _labels(self) -> np.ndarray:
        # Other tools keep other things under arr_1; only one number per image can be labels.
        if self.members.get("arr_1", ((), None))[0] != (len(self),):
            return np.full(len(self), -1, dtype=np.int64)
        with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return archive["arr_1"].astype(np.int64)

    def batches(self, size: int) -> Iterator[LabelledImages]:
        try:
            yield from self._streamed(size)
        except DAMAGED as error:
            raise ValueError(f"{self.path} cannot be read, perhaps cut short ({error}); fetch it again") from error

    def _streamed(self, size: int) -> Iterator[LabelledImages]:
        labels, per_image = self._labels(), int(np.prod(self.shape[1:]))
        with zipfile.ZipFile(self.path) as archive, archive.open("arr_0.npy") as stream:
            _read_header(stream)
            for start in range(0, len(self), size):
                count = min(size, len(self) - start)
                # Read piece by piece from the archive: np.load would unpack the whole member into memory.
                data = stream.read(count * per_image)
                if len(data) != count * per_image:
                    raise EOFError(f"it ends at image {start}")
                images = np.frombuffer(data, dtype=np.uint8).reshape(count, *self.shape[1:])
                # frombuffer gives a read-only view, of which torch would warn.
                yield LabelledImages(images.copy(), labels[start : start + count])


def npz_members(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and dtype of every array in an `.npz`, reading headers alone.

    Raises
    ------
    ValueError
        If the file is not a whole `.npz`, an array is in Fortran order, or it would need unpickling.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    shape, is_fortran, dtype = _read_header(stream)
                # Objects would run code when loaded; Fortran order cannot be streamed image by image.
                if dtype.hasobject or is_fortran:
                    raise ValueError(f"{member} holds objects or is in Fortran order; save plain C-ordered arrays")
                found[member.removesuffix(".npy")] = (shape, dtype)
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be used as an .npz batch: {error}") from error
    return found


def _read_header(stream: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)
