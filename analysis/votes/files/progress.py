"""What the readers of the three formats share: a gathering begun for the columns that a file has."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import dataclass

from analysis.sheets.sheet import header_hint
from analysis.votes.columns import INPUT_COLUMNS, OPTIONAL_COLUMNS, REQUIRED, VOTE_COLUMNS
from analysis.votes.errors import unreadable
from analysis.votes.parsing import Gatherer

__all__ = ["BLOCK_ROWS", "KNOWN", "LEAST_FAST_BYTES", "Progress", "is_fast", "started"]

# Rows that stand in memory as Python objects at one time.
BLOCK_ROWS = 65_536
# Below this size a file is read before pyarrow would have been imported.
LEAST_FAST_BYTES = 1 << 20
KNOWN = frozenset(entry.name for entry in (*VOTE_COLUMNS, *OPTIONAL_COLUMNS, *INPUT_COLUMNS))


@dataclass
class Progress:
    """How far the reading of a file has come.

    Parameters
    ----------
    gatherer : Gatherer
        Takes the rows.
    rows : int
        Rows so far, bad ones included.
    ignored : tuple of str
        Columns that the votes table does not know.
    """

    gatherer: Gatherer
    rows: int = 0
    ignored: tuple[str, ...] = ()


def started(gatherer: Gatherer, line: int, names: list[str], head: bytes = b"") -> Progress:
    """Return the gathering of a file with these columns; ``head`` is how it begins, for what to say where they lack.

    Raises
    ------
    BadVotesError
        If a required column is missing, or a known one stands twice.
    """
    file = gatherer.faults.file
    twice = sorted(name for name, count in Counter(names).items() if count > 1 and name in KNOWN)
    if twice:
        raise unreadable(file, line, "the header names this column twice", twice[0])
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        shown = ", ".join(names[:30]) or "nothing"
        said = f"the column is missing; the header has {shown[:200]}{header_hint(head, names)}"
        raise unreadable(file, line, said, ", ".join(missing))
    return Progress(gatherer, ignored=tuple(name for name in names if name not in KNOWN))


def is_fast(size: int) -> bool:
    """Return whether pyarrow is worth its import for a file of so many bytes, and there."""
    return size >= LEAST_FAST_BYTES and importlib.util.find_spec("pyarrow") is not None
