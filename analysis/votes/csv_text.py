"""CSV text: cells that no spreadsheet runs as a formula and their way back, rows that any reader splits alike.

Arm names and class labels come from users. A CSV cell that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a
spreadsheet, so every text cell written by this package that begins so gets one apostrophe in front, and reading takes
exactly one off again: the round trip is the identity.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable

__all__ = ["CsvText", "guard", "unguard"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guard(text: str) -> str:
    """Return ``text`` with an apostrophe in front when a spreadsheet would take it for a formula."""
    return "'" + text if text.lstrip("'").startswith(_FORMULA) else text


def unguard(text: str) -> str:
    """Return the text that :func:`guard` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text


class CsvText:
    """Rows as CSV text with LF line ends, handed over piece by piece.

    The standard writer quotes a carriage return only where it is part of the line end, and readers would take a bare
    one for a line end; so it writes CRLF here, and the end of each row is shortened afterwards.
    """

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._writer = csv.writer(self, lineterminator="\r\n")

    def write(self, row: str) -> None:
        """Take one row from the standard writer."""
        self._rows.append(row.removesuffix("\r\n") + "\n")

    def add(self, cells: Iterable[object]) -> None:
        """Add one row."""
        self._writer.writerow(cells)

    def taken(self) -> str:
        """Return the rows added since the last time."""
        text = "".join(self._rows)
        self._rows.clear()
        return text
