"""The pairs' table as a file: read, checked, and brought to the pairs of a table of votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.pairs.columns import TAG_SEPARATOR
from analysis.sheets.faults import Faults
from analysis.sheets.sheet import read_sheet
from analysis.votes.csv_text import unguard
from analysis.votes.table import VoteTable

__all__ = ["Pair", "Pairs", "read_pairs", "with_class_names"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a file says of one pair; empty where it says nothing."""

    prompt: str = ""
    tags: tuple[str, ...] = ()
    class_label: str = ""
    class_name: str = ""


Pairs = Mapping[str, Pair]


def read_pairs(path: str | Path) -> dict[str, Pair]:
    """Read ``pairs.csv``: a column ``pair``, one row a pair; return the pairs by their names in the votes.

    Raises
    ------
    BadTableError
        Naming file, lines and remedy: no such column, an empty pair, two rows for one pair.
    """
    sheet = read_sheet(Path(path).read_bytes(), file=str(path), wanted=("pair", "prompt"))
    faults = Faults(str(path))
    if "pair" not in sheet.names:
        raise faults.whole(f"there is no column pair; the header has {', '.join(sheet.names) or 'nothing'}")
    found: dict[str, Pair] = {}
    lines: dict[str, int] = {}
    for line, row in sheet.records():
        cells = {name: unguard(text) for name, text in row.items()}
        name = cells["pair"]
        if not name:
            faults.add(line, "pair", "is empty; name it as in the votes", kind="empty")
        elif first := lines.get(name):
            faults.add(line, "pair", f"{name} has a row on line {first} already; keep one of them", kind="twice")
        else:
            lines[name] = line
            found[name] = _pair(cells)
    faults.refuse()
    return found


def _pair(cells: Mapping[str, str]) -> Pair:
    return Pair(
        prompt=cells.get("prompt", ""),
        tags=tuple(filter(None, (tag.strip() for tag in cells.get("tags", "").split(TAG_SEPARATOR)))),
        class_label=cells.get("class_label", ""),
        class_name=cells.get("class_name", ""),
    )


def with_class_names(table: VoteTable, pairs: Pairs) -> VoteTable:
    """Return the votes with what raters read for each class, where the votes do not say so themselves.

    A name that several classes share has the label behind it: the report keeps them apart.
    """
    labels = table.extra.get("class_label")
    if labels is None or "class_name" in table.extra:
        return table
    names = {pair.class_label: pair.class_name for pair in pairs.values() if pair.class_label and pair.class_name}
    shared = list(names.values())
    shown = {label: f"{name} ({label})" if shared.count(name) > 1 else name for label, name in names.items()}
    if all(label == name for label, name in shown.items()):
        return table
    column = np.array([shown.get(label, "") for label in labels], dtype=object)
    return replace(table, extra={**table.extra, "class_name": column})
