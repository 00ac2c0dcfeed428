"""Any table with a vote a row, its columns named by ``--map``: what spreadsheets, panels and scripts leave."""

from __future__ import annotations

from analysis.votes.columns import REQUIRED
from analysis.votes.foreign.tool import Tool, records_of

__all__ = ["TABLE"]

TABLE = Tool(
    name="table",
    title="any table (CSV, semicolons, tabs, UTF-16, Excel, JSON, JSON Lines, Parquet)",
    records=lambda path: records_of(path, wanted=REQUIRED),
    columns={},
    no_answer=("", "nan"),
)
