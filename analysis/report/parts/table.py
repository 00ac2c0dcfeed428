"""What a table is, neutral to its format: CSV, LaTeX, HTML and PDF all show these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.raters.screening_rules import RULES
from analysis.report.parts import wording
from analysis.report.parts.exclusions import rule_shown

__all__ = ["MOST_SHOWN", "MOST_WHOLE", "Column", "Table", "View", "result_columns", "shows_all", "versus"]


def _ranks(value: Sequence[int] | None) -> str:
    if value is None:
        return ""
    low, high = value
    return f"{low}" if low == high else f"{low} to {high}"


def _metrics(value: Sequence[float] | None) -> str:
    return "" if value is None else f"[{', '.join(map(wording.metric, value))}]"


def _mean_and_deviation(value: Sequence[float | None] | None) -> str:
    if value is None:
        return "refused"
    shown = (wording.decimal(part) for part in value if part is not None)
    return "\u00a0±\u00a0".join(shown)


# Kinds that are prose. Keys and rules are names for programs, which CSV keeps; readers see words.
_PROSE = ("text", "key", "rule", "kept_out")
# kind -> how a raw value is shown; a remark becomes a lettered note. Kinds that end in "interval" are two columns in
# CSV.
_SHOWN: dict[str, Callable[[Any], str]] = {
    "text": lambda value: "" if value is None else str(value),
    "key": wording.key_in_words,
    "rule": lambda value: RULES[value].title,
    "kept_out": rule_shown,
    "remark": lambda value: value or "",
    "count": wording.count,
    "rate": wording.percent,
    "rate_interval": wording.interval,
    "number": wording.decimal,
    "numbers": lambda value: ", ".join(map(wording.decimal, value or ())),
    "mean_and_deviation": _mean_and_deviation,
    "number_interval": lambda value: wording.interval(value, rate=False),
    "metric": wording.metric,
    "metric_interval": _metrics,
    "whole_interval": _ranks,
    "p": wording.p_value,
}


@dataclass(frozen=True)
class Column:
    """A column: key of the raw value, header, and kind: one of the keys of ``_SHOWN``."""

    key: str
    header: str
    kind: str = "text"

    @property
    def is_text(self) -> bool:
        return self.kind in _PROSE

    def shown(self, value: object) -> str:
        """Return the value as people read it."""
        return _SHOWN[self.kind](value)


@dataclass(frozen=True)
class Table:
    """A table of raw values.

    Parameters
    ----------
    name : str
        File name without suffix, and the label in LaTeX and HTML.
    title : str
        The caption.
    columns : sequence of Column
        The first column names the row.
    rows : sequence of mapping
        Raw values by the columns' keys; a missing key is null.
    note : str
        What must stand beside the numbers.
    longest : int
        Rows that a page shows at most; the files hold all, and the page says so. 0 keeps the table off the page.
    is_listing : bool
        Whether the table lists single units (raters, say): LaTeX then holds no more rows than a page.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, object]] = field(default_factory=list)
    note: str = ""
    longest: int = 60
    is_listing: bool = False

    def view(self, *, longest: int | None = None) -> View:
        """Return what readers see: empty columns left out, remarks as lettered notes below, refusals named.

        Parameters
        ----------
        longest : int or None
            Show at most so many rows, and say where the others are.
        """
        rows = self.rows if longest is None else self.rows[:longest]
        letters = _Letters()
        columns = [
            column
            for place, column in enumerate(self.columns)
            if place == 0 or any(row.get(column.key) not in (None, "") or _is_refused(column, row) for row in rows)
        ]
        cells = [[_cell(column, row, letters) for column in columns] for row in rows]
        notes = [self.note] if self.note else []
        notes += [f"{letter}: {remark}" for remark, letter in letters.items()]
        if len(rows) < len(self.rows):
            notes.append(f"The first {len(rows)} of {len(self.rows):,} rows; all are in tables/{self.name}.csv.")
        return View(headers=[(column.header, column.is_text) for column in columns], rows=cells, notes=notes)


@dataclass(frozen=True)
class View:
    """A table as text: headers with whether their cells are prose, rows of cells, notes below."""

    headers: list[tuple[str, bool]]
    rows: list[list[str]]
    notes: list[str]


class _Letters(dict):
    """Remark -> its letter, a to z, aa and so on, in order of first sight."""

    def __missing__(self, remark: str) -> str:
        place, letters = len(self), ""
        while place >= 0:
            letters = chr(ord("a") + place % 26) + letters
            place = place // 26 - 1
        self[remark] = letters
        return letters


def _cell(column: Column, row: Mapping[str, object], letters: _Letters) -> str:
    value = row.get(column.key)
    if column.kind == "remark":
        return letters[str(value)] if value else ""
    return "not computed" if _is_refused(column, row) else column.shown(value)


def _is_refused(column: Column, row: Mapping[str, object]) -> bool:
    return column.key in ("estimate", "value") and row.get(column.key) is None and bool(row.get("reason"))


def result_columns(header: str = "Rate", *, rate: bool = True) -> tuple[Column, ...]:
    """Return the columns that show one result object of the report."""
    kind = "rate" if rate else "number"
    return (
        Column("estimate", header, kind),
        Column("ci95", "95 % interval", f"{kind}_interval"),
        Column("p_value", "p", "p"),
        Column("n_raters", "Raters", "count"),
        Column("n_pairs", "Pairs", "count"),
        Column("n_votes", "Votes", "count"),
        Column("reason", "Note", "remark"),
    )


# Pages show the details of so many comparisons; of more, those of the first alone.
MOST_SHOWN = 3
# With more comparisons than these, the methods that take long are computed for the first one alone.
MOST_WHOLE = 10


def shows_all(report: Mapping) -> bool:
    """Return whether pages show every comparison in detail: the report is ordered by question, not by comparison."""
    return len(report["comparisons"]) <= MOST_SHOWN


def versus(comparison: Mapping) -> str:
    """Return ``robust over vanilla``."""
    return f"{comparison['arm']} over {comparison['baseline']}"
