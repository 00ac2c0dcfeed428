"""What is wrong with the rows of a table: twenty of each kind are listed, all are counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["MOST_LISTED", "BadRow", "BadTableError", "Faults", "label_fault", "number_hint"]

# Of each kind of fault; a file whose every row is bad needs one remedy, not a million lines.
MOST_LISTED = 20
# What only a program writes, and only for nothing: many rows so labelled would be one rater, pair or arm.
_NOTHING = frozenset({"NaN", "nan", "<NA>", "#N/A"})
_FORMULA_ERROR = re.compile(r"#[^\W\d_]+(/0)?[!?]")
_ROUNDED = re.compile(r"\d([.,]\d+)?e\+\d{2,}", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\dT00:00:00")
_AS_TEXT = "format the column as text and fill it in again"
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*([.' \u00a0\u202f]\d{3})*,\d+(e[-+]?\d+)?\s*", re.IGNORECASE)


def label_fault(text: str) -> str:
    """Return why a cell names nothing, or no longer what it named; nothing for a label.

    >>> label_fault("1.23457E+17")[:28], label_fault("SDXL 1.0")
    ('is a number that a spreadshe', '')
    """
    if text in _NOTHING:
        return f"is {text}, nothing"
    if text.startswith("#") and _FORMULA_ERROR.fullmatch(text):
        return f"is {text}, the error of a formula"
    if "+" in text and _ROUNDED.fullmatch(text):
        return f"is a number that a spreadsheet rounded ({text}), so several may have become one; {_AS_TEXT}"
    if text.endswith("T00:00:00") and _DATE.fullmatch(text):
        return f"is a date that a spreadsheet made of something else ({text}); {_AS_TEXT}"
    return ""


def number_hint(text: str) -> str:
    """Return what to do about a number as half of the world writes it; nothing for other texts.

    >>> number_hint("0,5"), number_hint("high")
    ('; write a decimal point', '')
    """
    if not _DECIMAL_COMMA.fullmatch(text):
        return ""
    is_plain = re.fullmatch(r"\s*[-+]?\d*,\d+(e[-+]?\d+)?\s*", text, re.IGNORECASE)
    return "; write a decimal point" if is_plain else "; write a decimal point, and nothing between thousands"


@dataclass(frozen=True, order=True)
class BadRow:
    """A row that cannot be used: where it stands and why.

    Parameters
    ----------
    line : int
        1-based line of the file on which the row begins; in workbooks and Parquet the 1-based row; 0 for the file as a
        whole.
    column : str
        The column at fault; empty when the row as a whole is.
    reason : str
        What is wrong, the value included; reads on from the column's name.
    file : str
        The file's name as it was given.
    """

    line: int
    column: str
    reason: str
    file: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.column + ': ' if self.column else ''}{self.reason}"

    @property
    def sentence(self) -> str:
        """The same in words, for people who know no compilers."""
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.column + ' ' if self.column else ''}{self.reason}"


class BadTableError(ValueError):
    """A table that cannot be used.

    Parameters
    ----------
    bad_rows : tuple of BadRow
        The rows at fault, in the order of the file; at most ``MOST_LISTED`` of a kind.
    total : int or None
        How many rows are at fault, listed or not; None for as many as are listed.
    unlisted : tuple of str
        A sentence for each kind of which more are at fault than are listed, with their number.
    """

    def __init__(self, bad_rows: tuple[BadRow, ...], total: int | None = None, unlisted: tuple[str, ...] = ()) -> None:
        self.bad_rows = bad_rows
        self.total = len(bad_rows) if total is None else total
        self.unlisted = unlisted
        super().__init__(self._said())

    @property
    def problems(self) -> list[str]:
        """A sentence for each row that is listed, then for each kind of which more are at fault."""
        return [*(row.sentence for row in self.bad_rows), *self.unlisted]

    def _said(self) -> str:
        return "\n".join(self.problems)


class Faults:
    """The bad rows of one file, while it is read.

    Parameters
    ----------
    file : str
        Name under which they are reported.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.by_column: Counter[str] = Counter()
        self._listed: list[BadRow] = []
        self._of_kind: Counter[tuple[str, str]] = Counter()
        self._last: dict[tuple[str, str], BadRow] = {}

    @property
    def rows(self) -> tuple[BadRow, ...]:
        """The rows that are listed, in the order of the file."""
        return tuple(sorted(self._listed))

    @property
    def total(self) -> int:
        """How many were found, listed or not."""
        return self.by_column.total()

    @property
    def unlisted(self) -> tuple[str, ...]:
        """A sentence for each kind of which more were found than are listed."""
        more = {kind: count - MOST_LISTED for kind, count in self._of_kind.items() if count > MOST_LISTED}
        return tuple(
            f"{self.file}: {count:,} more {'row' if count == 1 else 'rows'} like line {self._last[kind].line}"
            for kind, count in more.items()
        )

    def add(self, line: int, column: str, reason: str, *, kind: str) -> None:
        """Count one bad row, and list it unless enough of its kind are listed."""
        self.by_column[column or "row"] += 1
        self._of_kind[column, kind] += 1
        if self._of_kind[column, kind] <= MOST_LISTED:
            self._last[column, kind] = row = BadRow(line, column, reason, self.file)
            self._listed.append(row)

    def add_many(
        self, bad: np.ndarray, line: Callable[[int], int], column: str, reason: Callable[[int], str], *, kind: str
    ) -> None:
        """Add the rows of an index array; lines and reasons are made for those that are listed alone."""
        room = max(MOST_LISTED - self._of_kind[column, kind], 0)
        for row in bad[:room].tolist():
            self.add(line(row), column, reason(row), kind=kind)
        unlisted = len(bad) - len(bad[:room])
        if unlisted:
            self.by_column[column or "row"] += unlisted
            self._of_kind[column, kind] += unlisted

    def whole(self, reason: str, *, line: int = 0) -> BadTableError:
        """Return the error for a file that is no table, or for the line at which it stops being one."""
        return BadTableError((BadRow(line, "", reason, self.file),))

    def refuse(self) -> None:
        """Do nothing where nothing was found.

        Raises
        ------
        BadTableError
            With all that was.
        """
        if self._listed:
            raise BadTableError(self.rows, self.total, self.unlisted)
