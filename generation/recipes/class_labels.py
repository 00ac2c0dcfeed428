"""The class label: a whole number in orders, recipes and networks, text in the study's tables.

There it may be a name as well, since pairs that were imported bring their own classes. This is the one place where
either becomes the other: where a pair is stored or read.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["CLASS_LIMIT", "UNKNOWN_CLASS", "class_number", "class_text", "class_texts", "classes_written"]

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
