"""What is wrong with a file of votes: bad rows, each with its place, and the error that carries them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BadRow", "BadVotesError", "SheetError", "unreadable"]


class SheetError(ValueError):
    """The bytes are no table; the message says what they are and what to do."""


@dataclass(frozen=True, order=True)
class BadRow:
    """A row that cannot be used: where it stands and why.

    Parameters
    ----------
    line : int
        1-based line of the file on which the row begins; in Parquet the 1-based row.
    column : str
        The column at fault; empty when the row as a whole is.
    reason : str
        What is wrong, the value included.
    file : str
        The file's name as it was given.
    """

    line: int
    column: str
    reason: str
    file: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.column + ': ' if self.column else ''}{self.reason}"


class BadVotesError(ValueError):
    """Rows that cannot be used. Fix the file, or drop and count them with ``skip_bad_rows`` (``--skip-bad-rows``).

    Parameters
    ----------
    bad_rows : tuple of BadRow
        The rows at fault, in the order of the file; at most ``analysis.votes.parsing.MOST_LISTED`` of a kind.
    total : int or None
        How many rows are at fault, listed or not; None for as many as are listed.
    """

    def __init__(self, bad_rows: tuple[BadRow, ...], total: int | None = None) -> None:
        self.bad_rows = bad_rows
        self.total = len(bad_rows) if total is None else total
        super().__init__(f"{self.total:,} bad row(s), the first: {bad_rows[0]}")


def unreadable(file: str, line: int, reason: str, column: str = "") -> BadVotesError:
    """Return the error for a file that cannot be read as votes at all."""
    return BadVotesError((BadRow(line, column, reason, file),))
