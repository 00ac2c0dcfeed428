"""Labelled images: what a source is, arrays in memory, folders, scikit-learn's digits.

A source has `labels`, `class_names`, a length, `image(i)`, `where(i)` and `describe()`. `array_files` reads sets that
come in files of their own; `sources` knows all by name.
"""

import hashlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from PIL import Image

from analysis.pictures.colour import read_in_srgb
from analysis.pictures.errors import PictureError
from analysis.pictures.folders import list_folder, walk
from analysis.pictures.listing import Listing, classes_of, is_leaving, nfc
from diffusion.files import write_atomically

log = logging.getLogger(__name__)
# Twice the digits' own 8 pixels, so that the networks have something to halve.
DIGITS_SIDE = 16
# Raised when the rules of what an image is change, so that listings kept under older rules are made anew.
INDEX_RULES = 2


class DataError(ValueError):
    """The data cannot be used; the message names the file or folder, what is wrong and the remedy."""


class CorruptImage(DataError):
    """One image cannot be decoded."""


class ImageSource(Protocol):
    """Labelled images."""

    labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def image(self, index: int, *, mode: str) -> Image.Image:
        """Return an image in mode "RGB" or "L"; raises CorruptImage."""

    def where(self, index: int) -> str:
        """Return what to call an image in a message."""

    def describe(self) -> dict:
        """Return JSON-ready facts for a card."""


@dataclass(frozen=True)
class ArrayImages:
    """Images held in memory: `pixels` (N, H, W) or (N, H, W, 3), uint8."""

    pixels: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    name: str

    def __len__(self) -> int:
        return len(self.pixels)

    def image(self, index: int, *, mode: str) -> Image.Image:
        return Image.fromarray(self.pixels[index]).convert(mode)

    def where(self, index: int) -> str:
        return f"{self.name}[{index}]"

    def describe(self) -> dict:
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels)).hexdigest()
        return {"name": self.name, "images": len(self), "sha256": digest}


@dataclass(frozen=True)
class FolderImages:
    """Images in files under `root`: their names, and the paths under which the disk has them.

    `notes` say what was left out, `noted` what was changed in images that were read so far.
    """

    root: Path
    names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    noted: list[str] = field(default_factory=list, compare=False)

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int, *, mode: str) -> Image.Image:
        path = self.root / self.paths[index]
        try:
            picture = read_in_srgb(path.read_bytes(), name=self.names[index])
        except (OSError, PictureError) as error:
            raise CorruptImage(f"{path} {error}; replace it or set data.corrupt = 'skip'") from error
        for note in picture.notes:
            if note not in self.noted:
                self.noted.append(note)
                log.warning("%s %s; of more such images nothing is said", path, note)
        return picture.image.convert(mode)

    def where(self, index: int) -> str:
        return str(self.root / self.paths[index])

    def describe(self) -> dict:
        # Of the names alone: a digest of the contents would read the whole set at every start.
        digest = hashlib.sha256("\n".join(self.names).encode()).hexdigest()
        return {"name": self.root.name, "images": len(self), "paths_sha256": digest}


def folder_images(root: Path | str, *, label_from: str = "folder", index: Path | None = None) -> FolderImages:
    """Find the images under a folder, by the rules of `docs/image-sets.md`.

    Parameters
    ----------
    root : path
    label_from : {"folder", "file_prefix"}
        "folder": the first folder below `root` (ImageNet); "file_prefix": the file's name up to its first underscore
        (the layout of the CIFAR-10 experiments). A label is its name's rank.
    index : path, optional
        Where to keep the listing; it is used while no folder under `root` has changed.

    Raises
    ------
    DataError
        No such folder, no images, a class folder without images, or images beside the class folders.
    """
    root = Path(root)
    try:
        listing = _listing(root, index)
        if not listing.paths:
            raise DataError(f"{root} holds no images; found: {listing.found()}")
        class_names, labels = _classes(root, listing.names, label_from)
    except PictureError as error:
        raise DataError(str(error)) from error
    notes = tuple(listing.notes())
    for note in notes:
        log.warning("%s: %s", root, note)
    return FolderImages(
        root, listing.names, tuple(listing.paths.values()), np.array(labels, dtype=np.int64), class_names, notes
    )


def _listing(root: Path, index: Path | None) -> Listing:
    """List a folder, or take a listing that was kept while no folder had changed since."""
    if index is None or not root.is_dir():
        return list_folder(root)
    stamp = _stamp(root)
    listing = _read_index(index, stamp)
    if listing is None:
        listing = list_folder(root)
        kept = {"rules": INDEX_RULES, "stamp": stamp, "paths": listing.paths, "left_out": listing.left_out}
        write_atomically(index, [json.dumps(kept).encode()])
    return listing


def _classes(root: Path, names: tuple[str, ...], label_from: str) -> tuple[tuple[str, ...], list[int]]:
    """Return the classes' names, and the rank of every image's class."""
    if label_from == "file_prefix":
        prefixes = [PurePosixPath(name).name.split("_")[0] for name in names]
        ranked = tuple(sorted(set(prefixes)))
        ranks = {name: rank for rank, name in enumerate(ranked)}
        return ranked, [ranks[prefix] for prefix in prefixes]
    classes = classes_of(names, where=str(root))
    if not classes.names:
        raise DataError(
            f"{root} holds images but no class folders; put the images of each class into a folder of its own, or set "
            "data.label_from = 'file_prefix'"
        )
    _refuse_empty_classes(root, classes.names)
    return classes.names, list(classes.labels)


def _stamp(root: Path) -> str:
    """Return a fingerprint of every folder's name and time of change; adding or removing a file changes it."""
    folders = sorted({str(path.parent) for _, path in walk(root)} | {str(root)})
    return hashlib.sha256(repr([(folder, os.stat(folder).st_mtime_ns) for folder in folders]).encode()).hexdigest()


def _read_index(index: Path, stamp: str) -> Listing | None:
    try:
        kept = json.loads(index.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or (kept.get("rules"), kept.get("stamp")) != (INDEX_RULES, stamp):
        return None
    return Listing(kept["paths"], kept["left_out"])


def _refuse_empty_classes(root: Path, filled: tuple[str, ...]) -> None:
    found = [nfc(entry.name) for entry in sorted(root.iterdir()) if entry.is_dir() and not is_leaving(entry.name)]
    if empty := [name for name in found if name not in filled]:
        raise DataError(f"class folder {root / empty[0]} holds no images; fill or remove it ({len(empty)} such)")


def checked_array(pixels: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], name: str) -> ArrayImages:
    """Make a source of arrays of images and labels; without names, classes are called by their numbers.

    Raises
    ------
    DataError
        Wrong type or shape, no images, or labels outside of the classes.
    """
    # Pillow makes grey images from (H, W) alone.
    if pixels.ndim == 4 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[-1] != 3):
        raise DataError(
            f"{name}: images are {pixels.dtype} {pixels.shape}; wanted uint8 (N, H, W, 3), or (N, H, W) for grey ones"
        )
    if labels.shape != (len(pixels),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{name}: labels are {labels.dtype} {labels.shape}; wanted {len(pixels)} whole numbers")
    if len(pixels) == 0:
        raise DataError(f"{name} holds no images")
    # Unsigned ones too: their minimum is no sign that something is wrong.
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (class_names and high >= len(class_names)):
        named = f"has {len(class_names)} class names" if class_names else "numbers its classes from 0"
        raise DataError(f"{name} {named}, but labels from {low} to {high}; correct the labels or the names")
    numbers = tuple(str(label) for label in range(high + 1))
    return ArrayImages(pixels, labels.astype(np.int64), class_names or numbers, name)


def digits_images() -> ArrayImages:
    """Return scikit-learn's 1,797 handwritten digits, 8x8 and 17 grey levels, enlarged to 16x16 by bicubic filter.

    Raises
    ------
    DataError
        scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: pip install 'blindpair[demo]'") from error
    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
    size = (DIGITS_SIDE, DIGITS_SIDE)
    large = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in grey]
    return checked_array(np.stack(large), digits.target.astype(np.int64), tuple("0123456789"), "digits")
