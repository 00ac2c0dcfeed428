"""CSV and JSON text of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from analysis.report.parts.table import Column, Table
from analysis.votes.csv_text import CsvText, guard

__all__ = ["render_csv", "render_json"]

# Longer lists go through the encoder in C, which is fast and writes no indents.
_LONG = 100


def render_json(report: Mapping) -> str:
    """Return ``report.json``: UTF-8, keys in the report's order, no NaN; a long list stands one entry a line.

    Raises
    ------
    ValueError
        If a number is not finite: such a report must not be written.
    """
    long = {key: value for key, value in report.items() if isinstance(value, list) and len(value) > _LONG}
    text = json.dumps({**report, **{key: _mark(key) for key in long}}, indent=2, ensure_ascii=False, allow_nan=False)
    # The encoder in C writes no indents, and thousands of raters' rows take the one in Python half a second.
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    for key, value in long.items():
        lines = ",\n".join(f"    {encode(entry)}" for entry in value)
        text = text.replace(json.dumps(_mark(key)), f"[\n{lines}\n  ]", 1)
    return text + "\n"


def _mark(key: str) -> str:
    return f"\0{key}"


def render_csv(table: Table) -> str:
    """Return a table as CSV: raw values at full precision, an interval as two columns, nulls empty.

    Texts that a spreadsheet would run as a formula get an apostrophe in front.
    """
    text = CsvText()
    text.add([name for column in table.columns for name in _names(column)])
    for row in table.rows:
        text.add([cell for column in table.columns for cell in _cells(column, row.get(column.key))])
    return text.taken()


def _names(column: Column) -> list[str]:
    if column.kind.endswith("interval"):
        return [f"{column.key}_low", f"{column.key}_high"]
    return [column.key]


def _cells(column: Column, value: Any) -> list[str]:
    if column.kind.endswith("interval"):
        return ["", ""] if value is None else [repr(float(bound)) for bound in value]
    if value is None:
        return [""]
    return [guard(value) if isinstance(value, str) else repr(value)]
