"""The class label: a whole number in orders, recipes and networks, text in the study's tables.

There it may be a name as well, since pairs that were imported bring their own classes. This is the one place where
either becomes the other: where a pair is stored or read.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "CLASS_LIMIT",
    "UNKNOWN_CLASS",
    "StudyClasses",
    "are_classes_numbered",
    "class_number",
    "class_text",
    "class_texts",
    "classes_called",
    "classes_written",
]

# A key of the noise holds the label above the index in 64 bits.
CLASS_LIMIT = 2**24
# As in the labels of image sets: a class that the networks have no number for.
UNKNOWN_CLASS = -1
# Digits of the two numbers of a range together: enough for any label, too few to fill the memory.
_MOST_DIGITS = 16


def class_text(label: int) -> str:
    """Return a label as the study's tables hold it."""
    return str(label)


def class_texts(labels: Iterable[int]) -> list[str]:
    """Return labels, in their order, as the study's tables hold them."""
    return [class_text(label) for label in labels]


def class_number(text: str) -> int:
    """Return the label of a stored pair, ``UNKNOWN_CLASS`` where its class has a name instead."""
    return int(text) if text.isdecimal() else UNKNOWN_CLASS


def classes_written(text: str) -> list[int]:
    """Read class labels as people write them: ``207,360`` or ``0-9``.

    Raises
    ------
    ValueError
        If a part is neither a number nor a range of two.
    """
    labels: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(first + last) > _MOST_DIGITS:
            raise ValueError(f"{part!r} is no class label; give numbers such as 207,360 or 0-9")
        labels += range(int(first), min(int(last or first), CLASS_LIMIT) + 1)
    return labels


def are_classes_numbered(text: str) -> bool:
    """Return whether classes are written as numbers and ranges alone, so that no names are needed to read them."""
    return all(part.strip().replace("-", "").isdecimal() for part in text.split(","))


def classes_called(text: str, names: Sequence[str]) -> list[int]:
    """Read classes as people write them, by name or number: ``Ankle boot,Bag`` or ``0-3,Bag``.

    Parameters
    ----------
    text : str
    names : sequence of str
        The networks' names of the classes, in the order of their labels.

    Raises
    ------
    ValueError
        If a part is no name, no number and no range of two numbers; it says the nearest name.
    """
    labels = {name: label for label, name in enumerate(names)}
    # A name may hold a comma itself.
    if text.strip() in labels:
        return [labels[text.strip()]]
    found: list[int] = []
    for part in (part.strip() for part in text.split(",")):
        if part not in labels and not are_classes_numbered(part):
            near = difflib.get_close_matches(part, list(labels), n=1)
            hint = (
                f"; did you mean {near[0]!r}?"
                if near
                else f"; known: {', '.join(list(labels)[:10]) or 'numbers alone'}"
            )
            raise ValueError(f"{part!r} is no class of the arms' networks{hint}")
        found += [labels[part]] if part in labels else classes_written(part)
    return found


@dataclass(frozen=True)
class StudyClasses:
    """The classes of a study's pairs, as its tables hold them.

    Parameters
    ----------
    texts : tuple of str
        What stands in ``class_label``, sorted.
    labels : tuple of int
        The number of each: the networks' where the texts are numbers, else its place.
    names : tuple of str
        What each is called; its number where nobody named it.
    """

    texts: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, found: Collection[tuple[str, str]]) -> StudyClasses:
        """Gather the classes of (class label, class name) as pairs hold them; pairs without a class have none.

        Raises
        ------
        ValueError
            If a class has two names.
        """
        names: dict[str, str] = {}
        for text, name in sorted(set(found)):
            if text and name and names.setdefault(text, name) != name:
                raise ValueError(f"class {text} is called {names[text]!r} and {name!r}; give it one name")
        names = {text: names.get(text, text) for text in sorted({text for text, _ in found if text})}
        is_numbered = all(text.isdecimal() for text in names)
        labels = tuple(int(text) if is_numbered else place for place, text in enumerate(names))
        return cls(tuple(names), labels, tuple(names.values()))

    def number(self, text: str) -> int:
        """Return the label of a class label's text, ``UNKNOWN_CLASS`` for none."""
        return dict(zip(self.texts, self.labels, strict=True)).get(text, UNKNOWN_CLASS)

    def text(self, label: int) -> str:
        """Return a label as the tables hold it."""
        return dict(zip(self.labels, self.texts, strict=True)).get(label, class_text(label))
