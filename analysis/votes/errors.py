"""The error of a file of votes, which names the rows at fault."""

from __future__ import annotations

from analysis.sheets.faults import BadRow, BadTableError, Faults

__all__ = ["BadRow", "BadVotesError", "refuse_votes", "unreadable"]


class BadVotesError(BadTableError):
    """Rows that cannot be used. Fix the file, or drop and count them with ``skip_bad_rows`` (``--skip-bad-rows``)."""

    def _said(self) -> str:
        return f"{self.total:,} bad row(s), the first: {self.bad_rows[0]}"


def unreadable(file: str, line: int, reason: str, column: str = "") -> BadVotesError:
    """Return the error for a file that cannot be read as votes at all."""
    return BadVotesError((BadRow(line, column, reason, file),))


def refuse_votes(faults: Faults) -> None:
    """Raise ``BadVotesError`` with what was found; do nothing where nothing was."""
    if faults.total:
        raise BadVotesError(faults.rows, faults.total, faults.unlisted)
