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
from analysis.pictures.arrays import check_npz, class_texts_of, names_in, whole_labels
from analysis.pictures.class_names import NO_CLASS
from analysis.pictures.colour import PIXEL_RULES, read_in_srgb
from analysis.pictures.errors import PictureError
from analysis.pictures.folders import list_folder
from analysis.pictures.listing import classes_of
from analysis.pictures.pixels import note_counts
from generation.features.inception import file_sha256
from generation.recipes.class_labels import class_texts

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
    class_names : sequence of str
        Names of the classes in label order.
    """

    name: str
    files: Sequence[Path]
    labels: Sequence[int] | None = None
    notes: Sequence[str] = ()
    names: Sequence[str] = ()
    class_names: Sequence[str] = ()

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
        classes.names,
    )


@dataclass(frozen=True)
class ArraySource:
    """Images in memory.

    Parameters
    ----------
    name : str
    images : array (n, H, W, 3) or (n, H, W, 1), uint8
    labels : array (n,), integer, optional
    class_names : sequence of str
        Names of the classes in label order; numbers without.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None
    class_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or len(self.images) == 0:
            found = f"{self.images.dtype} {self.images.shape}"
            raise ValueError(f"{self.name}: images are {found}; expected uint8 (n, H, W, C), n at least 1")
        if self.labels is not None:
            object.__setattr__(self, "class_names", checked_names(self.class_names, self.labels, self.name))

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
    """Images and labels of an `.npz` batch, streamed from the archive: `arr_0` and `arr_1`, or `images` and `labels`.

    Images are (n, H, W, C) as ADM's evaluator reads them, or (n, C, H, W); `class_names` is optional.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        If the file is no `.npz`, is cut short, holds no uint8 images, or labels without a name.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = Path(path), Path(path).name
        self.members = npz_members(self.path)
        self._images, self._label_name = names_in(self.members, where=str(path))
        self.stored_shape, dtype = self.members[self._images]
        self.shape, self._is_channels_first = _channels_last(self.stored_shape)
        if dtype != np.uint8 or len(self.shape) != 4 or self.shape[3] not in (1, 3):
            raise ValueError(f"{path}: {self._images} is {dtype} {self.stored_shape}; expected uint8 (n, H, W, 3)")
        if 0 in self.shape:
            raise ValueError(f"{path} holds no images")
        self._labels, self.class_names = self._read_labels()

    def __len__(self) -> int:
        return self.shape[0]

    def digest(self) -> str:
        return file_sha256(self.path)

    def _read_labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
        shape, dtype = self.members.get(self._label_name, ((), np.dtype(float)))
        if self._label_name == "arr_1" and not (len(shape) == 1 and np.issubdtype(dtype, np.integer)):
            # Other tools keep other things under this name.
            if shape:
                log.warning("%s: arr_1 is %s %s, no labels, and is left out", self.path, dtype, shape)
        elif self._label_name in self.members:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                labels = whole_labels(archive[self._label_name], len(self), where=str(self.path))
                names = class_texts_of(archive["class_names"] if "class_names" in self.members else ())
            return labels, checked_names(names, labels, str(self.path))
        return np.full(len(self), NO_CLASS, dtype=np.int64), ()

    def batches(self, size: int) -> Iterator[LabelledImages]:
        try:
            yield from self._streamed(size)
        except DAMAGED as error:
            raise ValueError(f"{self.path} cannot be read, perhaps cut short ({error}); fetch it again") from error

    def _streamed(self, size: int) -> Iterator[LabelledImages]:
        per_image = int(np.prod(self.shape[1:]))
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self._images}.npy") as stream:
            _read_header(stream)
            for start in range(0, len(self), size):
                count = min(size, len(self) - start)
                # Read piece by piece from the archive: np.load would unpack the whole member into memory.
                data = stream.read(count * per_image)
                if len(data) != count * per_image:
                    raise EOFError(f"it ends at image {start}")
                images = np.frombuffer(data, dtype=np.uint8)
                if self._is_channels_first:
                    images = images.reshape(count, *self.stored_shape[1:]).transpose(0, 2, 3, 1)
                images = images.reshape(count, *self.shape[1:])
                # frombuffer gives a read-only view, of which torch would warn.
                yield LabelledImages(images.copy(order="C"), self._labels[start : start + count])


def _channels_last(shape: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    """Return the shape with channels last, one for grey images without them, and whether they come first."""
    shape = (*shape, 1) if len(shape) == 3 else shape
    is_first = len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
    return ((shape[0], shape[2], shape[3], shape[1]) if is_first else shape), is_first


def checked_names(names: Sequence[str], labels: np.ndarray, where: str) -> tuple[str, ...]:
    """Return the names of classes by label, numbers where there are none; nothing where an image has no class.

    Raises
    ------
    ValueError
        If a label has no name.
    """
    high = int(np.max(labels, initial=-1))
    if int(np.min(labels, initial=0)) < 0:
        return ()
    if names and high >= len(names):
        raise ValueError(f"{where} has {len(names)} class names, but labels up to {high}; correct one of them")
    return tuple(names) or tuple(class_texts(range(high + 1)))


def npz_members(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and dtype of every array in an `.npz`, reading headers alone.

    Raises
    ------
    ValueError
        If the file is not a whole `.npz`, an array is in Fortran order, or it would need unpickling.
    """
    found = {}
    try:
        check_npz(path)
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    shape, is_fortran, dtype = _read_header(stream)
                # Objects would run code when loaded; Fortran order cannot be streamed image by image.
                if dtype.hasobject or is_fortran:
                    raise ValueError(f"{member} holds objects or is in Fortran order; save plain C-ordered arrays")
                found[member.removesuffix(".npy")] = (shape, dtype)
    except PictureError:
        raise
    except DAMAGED as error:
        raise ValueError(f"{path} cannot be used as an .npz batch: {error}") from error
    return found


def _read_header(stream: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)
