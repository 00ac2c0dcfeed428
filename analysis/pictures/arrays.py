"""Images and labels that a NumPy file holds: what the arrays are called, and what labels and names may be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from analysis.pictures.errors import PictureError
from analysis.pictures.formats import HEAD_BYTES, kind_of

__all__ = ["NPZ_NAMES", "check_npz", "class_texts_of", "names_in", "whole_labels"]

# The names under which images and labels are met: our own, ADM's.
NPZ_NAMES = (("images", "labels"), ("arr_0", "arr_1"))


def check_npz(path: Path) -> None:
    """Do nothing for a file that begins as an ``.npz`` does.

    Raises
    ------
    PictureError
        Naming what it is instead.
    """
    with path.open("rb") as file:
        found = kind_of(file.read(HEAD_BYTES), path.name)
    if found != "zip archive":
        hint = "; save images and labels together with numpy.savez" if found == "NumPy array" else ""
        raise PictureError(f"{path} is no .npz (found: {found}){hint}")


def names_in(
    arrays: Collection[str], *, where: str, known: Sequence[tuple[str, str]] = NPZ_NAMES, need_labels: bool = False
) -> tuple[str, str]:
    """Return the names of images and labels among the arrays of a file.

    Raises
    ------
    PictureError
        There are none, or those of two kinds: which are meant cannot be told.
    """
    pairs = [pair for pair in known if (set(pair) if need_labels else {pair[0]}) <= set(arrays)]
    if len(pairs) > 1:
        raise PictureError(f"{where} holds both {pairs[0][0]} and {pairs[1][0]}; keep the images that are meant")
    if not pairs:
        wanted = "'images' and 'labels' (or arr_0 and arr_1)" if need_labels else "images ('images' or arr_0)"
        raise PictureError(f"{where} holds {', '.join(sorted(arrays)) or 'nothing'}; wanted {wanted}")
    return pairs[0]


def whole_labels(labels: np.ndarray, count: int, *, where: str) -> np.ndarray:
    """Return the labels of `count` images, int64; a column of them, as Keras keeps CIFAR's, is a row.

    Raises
    ------
    PictureError
        Another shape, no whole numbers, or negative ones.
    """
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise PictureError(f"{where}: labels are {labels.dtype} {labels.shape}; wanted {count} whole numbers")
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0:
        said = f"{where} numbers its classes from 0, but labels from {low} to {high}; correct the labels or the names"
        raise PictureError(said)
    return labels.astype(np.int64)


def class_texts_of(names: Iterable[object]) -> tuple[str, ...]:
    """Return names of classes as texts; bytes, as other tools store them, are UTF-8."""
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
