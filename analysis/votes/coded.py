"""A column of a block as its distinct texts and a code a row: what is checked once a text is not checked once a row.

Kinds of texts share the interface of :class:`Values`: :class:`Texts` here, a list that needs numpy alone, and those of
``files/arrow_texts.py``. All keep the same rules, which stand here.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

__all__ = [
    "EARLIEST",
    "LATEST",
    "UTC_TIME",
    "Coded",
    "Texts",
    "Values",
    "as_text",
    "coded",
    "fingerprints",
    "instant",
    "number",
]

# The contract's form of a time; any other form goes through `datetime.fromisoformat`, one text at a time.
UTC_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|\+00:00)"
# Python's calendar; numpy's and Arrow's go further.
EARLIEST, LATEST = np.datetime64("0001-01-01T00:00:00.000"), np.datetime64("9999-12-31T23:59:59.999")
_IS_UTC_TIME = re.compile(UTC_TIME, re.ASCII).fullmatch
_NEVER = np.datetime64("NaT", "ms")
# Keys of the fingerprints, drawn for each process: nobody can make two trials that collide.
_KEYS = tuple(np.uint64(secrets.randbits(64) | 1) for _ in range(2))


class Values:
    """The distinct values of one column of a block, as its checks ask for them.

    A kind that never was text answers what the checks of its own columns ask, and nothing else.
    """

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, place: int) -> str:
        raise NotImplementedError

    def labels(self) -> Sequence[str]:
        """Return the texts as Python strings."""
        raise NotImplementedError

    def given(self) -> np.ndarray:
        """Return the mask of texts that are not empty."""
        raise NotImplementedError

    def numbers(self) -> np.ndarray:
        """Return each text as float64; NaN where it is empty or no number."""
        raise NotImplementedError

    def instants(self) -> np.ndarray:
        """Return each text as an instant in UTC, datetime64[ms]; NaT where it is empty or no time with a zone."""
        raise NotImplementedError

    def fingerprints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return two 64-bit hashes of every text; both are 0 for the empty text alone."""
        raise NotImplementedError


class Texts(Values):
    """Texts in a list.

    Parameters
    ----------
    texts : sequence of str
        The texts of one column of a block.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, place: int) -> str:
        return self._texts[place]

    def labels(self) -> Sequence[str]:
        return self._texts

    def given(self) -> np.ndarray:
        return np.fromiter(map(bool, self._texts), dtype=bool, count=len(self))

    def numbers(self) -> np.ndarray:
        return np.fromiter(map(number, self._texts), dtype=np.float64, count=len(self))

    def instants(self) -> np.ndarray:
        texts = self._texts
        if all(not text or _IS_UTC_TIME(text) for text in texts):
            # The parser in C knows no zones: texts in UTC go through it bare.
            bare = [text.removesuffix("Z").removesuffix("+00:00") or "NaT" for text in texts]
            try:
                values = np.array(bare, dtype="datetime64[ms]")
            except ValueError:
                pass
            else:
                if not (values < EARLIEST).any():
                    return values
        return np.fromiter(map(instant, texts), dtype="datetime64[ms]", count=len(self))

    def fingerprints(self) -> tuple[np.ndarray, np.ndarray]:
        parts = [text.encode("utf-8", "surrogatepass") for text in self._texts]
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return fingerprints(np.frombuffer(b"".join(parts), dtype=np.uint8), np.cumsum(lengths) - lengths, lengths)


@dataclass(frozen=True)
class Coded:
    """A column of a block.

    Parameters
    ----------
    texts : Values
        The texts; distinct wherever ``codes`` is given.
    codes : (N,) int or None
        The place of each row's text among them; None where row i holds text i.
    """

    texts: Values
    codes: np.ndarray | None = None

    def rows(self, values: np.ndarray) -> np.ndarray:
        """Return one value a row from one value a text; a single text's value takes the room of one."""
        if self.codes is None:
            return values
        if len(values) == 1:
            return np.broadcast_to(values, self.codes.shape)
        return values[self.codes]

    def at(self, row: int) -> str:
        """Return the text of one row."""
        return self.texts[int(row if self.codes is None else self.codes[row])]


def coded(values: Sequence[str]) -> Coded:
    """Return a column of texts, one a row, as distinct texts and codes."""
    places = {text: place for place, text in enumerate(dict.fromkeys(values))}
    codes = np.fromiter(map(places.__getitem__, values), dtype=np.int32, count=len(values))
    return Coded(Texts(list(places)), codes)


def as_text(value: object) -> str:
    """Return the text form that the checks read; nested values become a text that no check accepts for a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def number(text: str) -> float:
    """Return what Python takes the text for; NaN where that is no number."""
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan


def instant(text: str) -> np.datetime64:
    """Return an ISO 8601 time with its zone as an instant in UTC; NaT for anything else."""
    try:
        moment = datetime.fromisoformat(text)
        return _NEVER if moment.tzinfo is None else np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ms")
    except (ValueError, OverflowError):
        return _NEVER


def fingerprints(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two 64-bit hashes of every text: trials are as many as votes, so their texts are not kept.

    Parameters
    ----------
    data : (B,) uint8
        The bytes of all texts.
    starts, lengths : (N,) int64
        Where each text begins, and its number of bytes.

    Returns
    -------
    tuple of two (N,) uint64
        Multiplied and folded eight bytes at a time, under keys of this process; 0 and 0 for an empty text alone.
    """
    padded = np.concatenate([data, np.zeros(8, dtype=np.uint8)])
    # Every offset's next eight bytes as one little-endian number, without a copy.
    words = np.ndarray(len(data) + 1, dtype="<u8", buffer=padded, strides=(1,))
    first, second = (np.full(len(lengths), key) ^ lengths.astype(np.uint64) for key in _KEYS)
    for done in range(0, int(lengths.max(initial=0)), 8):
        rows = np.flatnonzero(lengths > done)
        spare = np.maximum(8 - (lengths[rows] - done), 0).astype(np.uint64) * np.uint64(8)
        word = words[starts[rows] + done] << spare
        for found, key in zip((first, second), _KEYS, strict=True):
            mixed = (found[rows] ^ word) * key
            found[rows] = mixed ^ (mixed >> np.uint64(32))
    is_empty = lengths == 0
    first, second = (np.where(is_empty, np.uint64(0), found | np.uint64(1)) for found in (first, second))
    return first, second
