"""Who judged: how many raters each stated group has, and whether its preference differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import group_index
from analysis.inference.estimate import Estimate
from analysis.preference.groups import group_rates, heterogeneity
from analysis.preference.per_class import adjusted_p_values
from analysis.raters.columns import LEAST_CELL
from analysis.votes.table import Comparison

__all__ = ["LEAST_CELL", "GroupRow", "Grouping", "composition"]

NOT_STATED = "not stated"
SMALL_GROUPS = "groups of fewer than {least} raters"


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One group of raters.

    Parameters
    ----------
    group : str
    raters, votes : int or None
        None for fewer raters than may be told: a report is published, and a cell of few could point at one of them.
    share : float or None
        Of the raters who voted.
    result : Estimate or None
        Preference rate; None for those who did not state a group and for small groups counted together.
    p_adjusted : float or None
        By Holm over all groups of all columns.
    """

    group: str
    raters: int | None
    votes: int | None
    share: float | None
    result: Estimate | None
    p_adjusted: float | None = None


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The groups of one column, and the test that they prefer alike (None with fewer than two groups)."""

    column: str
    rows: tuple[GroupRow, ...]
    heterogeneity: Estimate | None


def composition(
    comparison: Comparison, groups: Mapping[str, Sequence[str]], *, least_cell: int = LEAST_CELL
) -> list[Grouping]:
    """Return the composition of the raters who voted, and their preference by stated group.

    Parameters
    ----------
    comparison : Comparison
    groups : mapping of str to sequence of str
        For each column the group of every rater code; empty where it is not stated.
    least_cell : int
        Groups of fewer raters are counted together and have no rate; together still fewer, they have no counts either.

    Returns
    -------
    list of Grouping
        In the order of the columns; the p-values of all groups are one family.
    """
    prepared = [
        (column, _rows(comparison, np.array(values, dtype=object), least_cell)) for column, values in groups.items()
    ]
    results = [row.result for _, (rows, _) in prepared for row in rows]
    adjusted = _adjusted([None if result is None else result.p_value for result in results])
    found, done = [], 0
    for column, (rows, tested) in prepared:
        marked = tuple(
            GroupRow(**{**vars(row), "p_adjusted": p})
            for row, p in zip(rows, adjusted[done : done + len(rows)], strict=True)
        )
        done += len(rows)
        test = heterogeneity(tested, nested="rater") if len(tested) > 1 else None
        found.append(Grouping(column=column, rows=marked, heterogeneity=test))
    return found


def _rows(comparison: Comparison, group_of: np.ndarray, least_cell: int) -> tuple[list[GroupRow], list[Comparison]]:
    _, present = group_index(comparison.rater)
    counted = Counter(group_of[present].tolist()) if len(present) else Counter()
    large = sorted(name for name, count in counted.items() if name and count >= least_cell)
    of_vote = group_of[comparison.rater] if len(comparison) else np.zeros(0, dtype=object)
    tested = [comparison.rows(of_vote == name) for name in large]
    rates = group_rates(tested, nested="rater") if tested else []
    total = max(len(present), 1)

    def row(name: str, raters: int, votes: int, result: Estimate | None) -> GroupRow:
        if raters < least_cell:
            return GroupRow(group=name, raters=None, votes=None, share=None, result=None)
        return GroupRow(group=name, raters=raters, votes=votes, share=raters / total, result=result)

    rows = [row(name, counted[name], len(votes), rate) for name, votes, rate in zip(large, tested, rates, strict=True)]
    small = [name for name, count in counted.items() if name and count < least_cell]
    if small:
        votes = int(np.isin(of_vote.astype(str), small).sum())
        rows.append(row(SMALL_GROUPS.format(least=least_cell), sum(counted[name] for name in small), votes, None))
    if counted[""]:
        rows.append(row(NOT_STATED, counted[""], int((of_vote == "").sum()), None))
    return rows, tested


def _adjusted(p_values: list[float | None]) -> list[float | None]:
    known = [p for p in p_values if p is not None]
    adjusted = iter(adjusted_p_values(known, "holm")) if known else iter(())
    return [None if p is None else float(next(adjusted)) for p in p_values]
