"""The raters' table as a file: read, checked, and brought to the raters of a table of votes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.raters.columns import ANSWER_PREFIX
from analysis.sheets.faults import Faults, number_hint
from analysis.sheets.sheet import read_sheet
from analysis.votes.csv_text import unguard
from analysis.votes.table import VoteTable

__all__ = ["Raters", "groupings", "read_raters", "with_sites"]

# Beside the answers to exit questions, what a rater can be grouped by.
_GROUPED = ("language", "layout", "input", "site")
# A question with more different answers than this was answered in raters' own words: no grouping.
MOST_GROUPS = 12


@dataclass(frozen=True, kw_only=True)
class Raters:
    """What a file of raters says of each rater.

    Parameters
    ----------
    columns : tuple of str
        Of the file, without ``rater``.
    values : mapping of str to mapping of str to str
        By rater, then column; of several sessions of one rater the last that says something.
    minutes : tuple of float
        Of each row that has them.
    """

    columns: tuple[str, ...]
    values: Mapping[str, Mapping[str, str]]
    minutes: tuple[float, ...] = ()


def read_raters(path: str | Path) -> Raters:
    """Read ``raters.csv``: a column ``rater``, one row a rater session.

    Raises
    ------
    BadTableError
        Naming file, lines and remedy: no such column, an empty rater, two rows for one session (or for one rater in a
        file without sessions), minutes that are no number.
    """
    sheet = read_sheet(Path(path).read_bytes(), file=str(path), wanted=("rater", "session"))
    faults = Faults(str(path))
    names = [name for name in sheet.names if name]
    if "rater" not in names:
        raise faults.whole(f"there is no column rater; the header has {', '.join(names) or 'nothing'}")
    values: dict[str, dict[str, str]] = {}
    seen: dict[tuple[str, str], int] = {}
    minutes: list[float] = []
    for line, cells in sheet.records():
        row = {name: unguard(text) for name, text in cells.items()}
        rater, session = row["rater"], row.get("session", "")
        if not rater:
            faults.add(line, "rater", "is empty; name it as in the votes", kind="empty")
            continue
        if first := seen.get((rater, session)):
            what = f"session {session} of {rater}" if session else f"rater {rater}"
            faults.add(line, "", f"{what} has a row on line {first} already; keep one of them", kind="twice")
            continue
        seen[rater, session] = line
        known = values.setdefault(rater, {})
        known.update({name: text for name in names if name != "rater" and (text := row[name])})
        if text := row.get("minutes", ""):
            minutes.append(_number(line, text, faults))
    faults.refuse()
    return Raters(columns=tuple(name for name in names if name != "rater"), values=values, minutes=tuple(minutes))


def _number(line: int, text: str, faults: Faults) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        faults.add(line, "minutes", f"is {text!r}; give a number of 0 or more{number_hint(text)}", kind="number")
    return value


def groupings(raters: Raters, labels: Sequence[str], *, withheld: Collection[str] = ()) -> dict[str, list[str]]:
    """Return, for each column that groups raters, the group of each label; empty where the file does not say.

    Columns of one value, of more than twelve, and those withheld group nobody.
    """
    found = {}
    for name in raters.columns:
        if name not in withheld and (name in _GROUPED or name.startswith(ANSWER_PREFIX)):
            different = {values[name] for values in raters.values.values() if name in values}
            if 2 <= len(different) <= MOST_GROUPS:
                found[name] = [raters.values.get(label, {}).get(name, "") for label in labels]
    return found


def with_sites(table: VoteTable, raters: Raters) -> VoteTable:
    """Return the votes with the sites of their raters, where the file names two or more and the votes name none."""
    sites = [raters.values.get(label, {}).get("site", "") for label in table.raters]
    if "site" in table.extra or len(set(filter(None, sites))) < 2:
        return table
    return replace(table, extra={**table.extra, "site": np.array(sites, dtype=object)[table.rater]})
