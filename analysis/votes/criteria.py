"""Votes by several criteria: which there are, those by one of them, and one vote a trial."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.votes.table import VoteTable

__all__ = ["by_criterion", "criteria_in", "headline_criterion", "one_a_trial"]


def criteria_in(table: VoteTable) -> tuple[str, ...]:
    """Return the criteria by which votes were given, sorted; none where no vote names one.

    Example
    -------
    >>> import numpy as np
    >>> codes = np.zeros(2, dtype=np.int64)
    >>> votes = dict(rater=codes, pair=codes, arm_left=codes, arm_right=codes + 1, choice=np.zeros(2, dtype=np.int8))
    >>> extra = {"criterion": np.array(["realism", "detail"], dtype=object)}
    >>> criteria_in(VoteTable(raters=("r",), pairs=("p",), arms=("a", "b"), extra=extra, **votes))
    ('detail', 'realism')
    """
    if "criterion" not in table.extra:
        return ()
    return tuple(sorted(set(table.extra["criterion"].tolist()) - {""}))


def headline_criterion(table: VoteTable, planned: str | None) -> str | None:
    """Return the criterion that the report opens with: the planned one, else the first; None without several.

    Raises
    ------
    ValueError
        If no vote names the planned one, or some votes of a table with several criteria name none.
    """
    criteria = criteria_in(table)
    if planned and len(table) and planned not in criteria:
        known = f"the criteria are {', '.join(criteria)}" if criteria else "no vote names a criterion"
        raise ValueError(f"criterion {planned!r} is not in the votes; {known}")
    if len(criteria) < 2:
        return None
    if np.any(table.extra["criterion"] == ""):
        raise ValueError(f"some votes name no criterion, others {', '.join(criteria)}; name it in every row")
    return planned or criteria[0]


def by_criterion(table: VoteTable, criterion: str) -> VoteTable:
    """Return the votes by one criterion; labels and codes stay as they are."""
    rest = {name: values for name, values in table.extra.items() if name != "criterion"}
    return replace(table, extra=rest).rows(table.extra["criterion"] == criterion)


def one_a_trial(table: VoteTable, headline: str | None) -> VoteTable:
    """Return one vote a trial, where a trial was answered by several criteria at once: the headline's if it has one.

    What screening measures (times, sides, checks) would count such a trial several times. Trials are told apart by
    rater, session and position; without positions the headline's votes stand for all.
    """
    criteria = criteria_in(table)
    if len(criteria) < 2:
        return table
    headline = headline if headline in criteria else criteria[0]
    criterion, position = table.extra["criterion"], table.extra.get("position")
    if position is None or np.isnan(position).any():
        return table.rows(criterion == headline)
    session = np.unique(table.extra.get("session", np.full(len(table), "")).astype(str), return_inverse=True)[1]
    keys = (criterion.astype(str), criterion != headline, position, session, table.rater)
    order = np.lexsort(keys)
    trial = np.stack([values[order].astype(np.float64) for values in (table.rater, session, position)])
    is_first = np.concatenate([[True], np.any(trial[:, 1:] != trial[:, :-1], axis=0)])
    return table.rows(np.sort(order[is_first]))
