"""The classes of an image set under the labels of whoever reads it: by name, by an explicit map, or refused."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.pictures.class_names import NO_CLASS, match_classes
from generation.features.image_sets import ImageSet, LabelledImages

__all__ = ["NONE", "LabelledAnew", "WithoutClasses", "class_names_of", "labelled_as"]

log = logging.getLogger(__name__)
# Instead of a class map: the images are measured together, and no class by itself.
NONE = "none"


@dataclass(frozen=True)
class LabelledAnew:
    """A set whose label i is ``labels[i]``; images of unknown class keep theirs."""

    source: ImageSet
    labels: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.source.name

    def __len__(self) -> int:
        return len(self.source)

    def digest(self) -> str:
        # Labels are kept with the features: other labels are another set.
        return hashlib.sha256(f"{self.source.digest()} labelled {self.labels}".encode()).hexdigest()

    def batches(self, size: int) -> Iterator[LabelledImages]:
        table = np.array([*self.labels, NO_CLASS])
        for batch in self.source.batches(size):
            yield LabelledImages(batch.images, table[np.where(batch.labels < 0, len(self.labels), batch.labels)])


class WithoutClasses(LabelledAnew):
    """A set whose classes are left aside."""

    def __init__(self, source: ImageSet) -> None:
        super().__init__(source, (NO_CLASS,) * len(class_names_of(source)))


def class_names_of(source: ImageSet) -> tuple[str, ...]:
    """Return what a set calls its classes, in the order of its labels; nothing where it has none."""
    return tuple(getattr(source, "class_names", ()))


def labelled_as(
    source: ImageSet,
    wanted: Sequence[str],
    *,
    labels: Sequence[int] | None = None,
    reader: str,
    class_map: Mapping[str, str] | str = "",
    may_have_more: bool = False,
    numbers: Sequence[str] = (),
) -> ImageSet:
    """Return a set under the labels of what reads it.

    Parameters
    ----------
    source : ImageSet
        A set without classes is returned as it is.
    wanted : sequence of str
        Names of the reader's classes; empty where it has none.
    labels : sequence of int, optional
        The reader's labels of these; 0, 1, ... without it.
    reader : str
        For messages.
    class_map : mapping of str to str, "ranks" or "none"
        See `analysis.pictures.class_names.match_classes`; "none" leaves the classes aside.
    may_have_more : bool
        Let the set have classes that the reader lacks; they get labels of their own, beyond the reader's.
    numbers : sequence of str
        What a class map calls the wanted classes by number; their places without it.

    Raises
    ------
    ClassMismatch
        Naming the classes that cannot be brought together.
    """
    found = class_names_of(source)
    if class_map == NONE and found:
        return WithoutClasses(source)
    if not found:
        return source
    match = match_classes(
        found,
        wanted,
        images=source.name,
        reader=reader,
        renamed=class_map,
        may_have_more=may_have_more,
        numbers=numbers,
    )
    for note in match.notes:
        log.warning("%s", note)
    known = list(labels) if labels is not None else None
    beyond = max([*(known or match.labels), *match.labels], default=0) + 1
    new = []
    for place, label in enumerate(match.labels):
        is_known = label != NO_CLASS and (known is None or label < len(known))
        new.append((known[label] if known is not None else label) if is_known else beyond + place)
    return source if tuple(new) == tuple(range(len(found))) else LabelledAnew(source, tuple(new))
