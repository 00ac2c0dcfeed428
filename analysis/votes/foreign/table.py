"""Any table with a vote a row, its columns named by ``--map``: what spreadsheets, panels and scripts leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.votes.columns import REQUIRED
from analysis.votes.csv_text import unguard
from analysis.votes.foreign.tool import PLAIN_FORMS, Record, Tool, records_of

__all__ = ["TABLE"]


def _records(path: Path) -> Iterator[Record]:
    # In CSV ours may be guarded from spreadsheets, which may have touched it since.
    is_plain = path.suffix.lower() in PLAIN_FORMS
    for line, record in records_of(path, wanted=REQUIRED):
        yield line, record if is_plain else {name: unguard(str(text)) for name, text in record.items()}


TABLE = Tool(
    name="table",
    title="any table (CSV, semicolons, tabs, UTF-16, Excel, JSON, JSON Lines, Parquet)",
    records=_records,
    columns={},
    no_answer=("", "nan"),
)
