"""Every kind of source under its name: those built in, and those of other packages by entry point.

A package makes its own source known in its pyproject.toml; `data.kind` then takes the name:

    [project.entry-points."blindpair.image_sources"]
    cells = "my_package.cells:open_cells"

`open_cells(path, *, split)` returns an `ImageSource`; `split` is "train" or "validation".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.pictures.class_names import renamed_classes
from analysis.pictures.errors import PictureError
from training.data.array_files import Split, cifar10_images, has_splits, hub_images, idx_images, npz_images
from training.data.image_sets import DataError, ImageSource, digits_images, folder_images

__all__ = ["BUILT_IN", "ENTRY_POINTS", "LabelledAnew", "kind_at", "kinds", "open_source", "recognised_kind"]

ENTRY_POINTS = "blindpair.image_sources"
BUILT_IN = ("folder", "npz", "idx", "cifar10", "huggingface", "digits")
_OPENERS: dict[str, Callable[..., ImageSource]] = {
    "npz": npz_images,
    "idx": idx_images,
    "cifar10": cifar10_images,
    "huggingface": hub_images,
}


@dataclass(frozen=True)
class LabelledAnew:
    """A source whose classes have other numbers and names: those of what reads it."""

    source: ImageSource
    labels: np.ndarray
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)

    def image(self, index: int, *, mode: str) -> Image.Image:
        return self.source.image(index, mode=mode)

    def where(self, index: int) -> str:
        return self.source.where(index)

    def describe(self) -> dict:
        return self.source.describe()

    @property
    def noted(self) -> list[str]:
        """What was changed in images that were read so far."""
        return getattr(self.source, "noted", [])


def kinds() -> list[str]:
    """Return the names that `data.kind` takes."""
    return [*BUILT_IN, *sorted(_plugged_in())]


def open_source(
    kind: str, path: str, *, split: Split, label_from: str = "folder", index: Path | None = None
) -> ImageSource:
    """Open a source of a kind.

    Raises
    ------
    DataError
        The kind is unknown, or the source cannot be opened or is none.
    """
    if kind == "digits":
        return digits_images()
    if kind == "folder":
        return folder_images(path, label_from=label_from, index=index)
    opener = _OPENERS.get(kind) or _opener_plugged_in(kind)
    return opener(path, split=split)


def brings_validation(kind: str, path: str) -> bool:
    """Return whether a set comes with images to measure on, so that nothing has to be held out."""
    return kind in ("cifar10", "idx") or (kind == "huggingface" and has_splits(path))


def with_names(source: ImageSource, names: dict[str, str]) -> ImageSource:
    """Return a source whose classes have the names of a class map; two that get one name become one.

    Raises
    ------
    DataError
        The map names a class that is not there, or two classes are two spellings of one.
    """
    try:
        kept, places = renamed_classes(source.class_names, names, where=_name(source))
    except PictureError as error:
        raise DataError(f"{error} (data.classes)") from error
    if kept == tuple(source.class_names):
        return source
    return LabelledAnew(source, np.array(places)[source.labels], kept, getattr(source, "notes", ()))


def recognised_kind(path: str) -> str | None:
    """Return the kind of a set of several files by what lies at its path; None for what is none."""
    if path == "digits":
        return "digits"
    folder = Path(path)
    marks = {"cifar10": "data_batch_1*", "idx": "*-images*idx*", "huggingface": "dataset_*.json"}
    return next((kind for kind, mark in marks.items() if any(folder.glob(mark))), None)


def kind_at(path: str, *, otherwise: str) -> str:
    """Return the kind of what lies at a path; a kind that another package brings stays what it is."""
    if otherwise not in BUILT_IN:
        return otherwise
    if path.endswith(".npz"):
        return "npz"
    return recognised_kind(path) or ("folder" if Path(path).is_dir() else otherwise)


def _name(source: ImageSource) -> str:
    return str(source.describe().get("name", "the set"))


def _plugged_in() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _opener_plugged_in(kind: str) -> Callable[..., ImageSource]:
    point = _plugged_in().get(kind)
    if point is None:
        raise DataError(f"data.kind is {kind!r}; it must be one of {', '.join(kinds())}")
    try:
        opener = point.load()
    except Exception as error:
        # What another package raises as it is loaded may be anything.
        raise DataError(f"the source {kind!r} ({point.value}) cannot be loaded: {error}") from error
    return partial(_checked, opener, point)


def _checked(opener: Callable[..., ImageSource], point: EntryPoint, path: str, *, split: Split) -> ImageSource:
    """Open another package's source and look whether it is one: labels must fit its images and names."""
    source = opener(path, split=split)
    lacking = [name for name in ("labels", "class_names", "image", "where", "describe") if not hasattr(source, name)]
    if lacking:
        raise DataError(f"the source {point.name!r} ({point.value}) has no {', '.join(lacking)}")
    labels = np.asarray(source.labels)
    if labels.shape != (len(source),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"the source {point.name!r} has labels {labels.dtype} {labels.shape} for {len(source)} images")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(source.class_names):
        raise DataError(
            f"the source {point.name!r} has labels from {labels.min()} to {labels.max()} for "
            f"{len(source.class_names)} class names"
        )
    return source
