"""The raters' table as a file: read, checked, and brought to the raters of a table of votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.raters.columns import ANSWER_PREFIX
from analysis.votes.sheet import SheetError, read_sheet
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
    ValueError
        Naming file, line and remedy: no such column, an empty rater, two rows for one session (or for one rater in a
        file without sessions), minutes that are no number.
    """
    path = Path(path)
    try:
        sheet = read_sheet(path.read_bytes(), wanted=("rater", "session"))
    except SheetError as error:
        raise ValueError(f"{path}: {error}") from None
    names = [name for name in sheet.names if name]
    if "rater" not in names:
        raise ValueError(f"{path}: there is no column rater; the header has {', '.join(names) or 'nothing'}")
    values: dict[str, dict[str, str]] = {}
    seen: dict[tuple[str, str], int] = {}
    minutes: list[float] = []
    for line, row in sheet.records():
        where = f"{path}, line {line}"
        rater, session = row["rater"].strip(), row.get("session", "").strip()
        if not rater:
            raise ValueError(f"{where}: rater is empty; name it as in the votes")
        if first := seen.get((rater, session)):
            what = f"session {session} of {rater}" if session else f"rater {rater}"
            raise ValueError(f"{where}: {what} has a row on line {first} already; keep one of them")
        seen[rater, session] = line
        known = values.setdefault(rater, {})
        known.update({name: text for name in names if name != "rater" and (text := row[name].strip())})
        if text := row.get("minutes", "").strip():
            minutes.append(_number(text, where))
    return Raters(columns=tuple(name for name in names if name != "rater"), values=values, minutes=tuple(minutes))


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{where}: minutes is {text!r}; give a number of 0 or more")
    return value


def groupings(raters: Raters, labels: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each column that groups raters, the group of each label; empty where the file does not say.

    Columns of one value, and of more than twelve, group nobody.
    """
    found = {}
    for name in raters.columns:
        if name in _GROUPED or name.startswith(ANSWER_PREFIX):
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
