"""Why raters chose: how often each reason was given for an arm, with the crossed interval.

Reasons are categories that the study offers after a vote. They belong to the arm that the vote chose; those of a tie
belong to none, and stand apart where ties have any.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.inference.estimate import Estimate
from analysis.preference.acceptable import crossed_share
from analysis.votes.columns import REASON_SEPARATOR
from analysis.votes.table import LEFT, TIE, VoteTable

__all__ = ["MOST_REASONS", "ReasonShare", "named_reasons", "reason_shares"]

# A study offers at most eight; several studies in one file may offer others. More is text in raters' own words.
MOST_REASONS = 40
NO_ARM = ""
_METHOD = (
    "share of the votes for the arm that give the reason, averaged over raters, two-way cluster-robust t interval "
    "(raters and pairs crossed, df = min(raters, pairs) - 1)"
)


@dataclass(frozen=True, kw_only=True)
class ReasonShare:
    """How often one reason was given in the votes for one arm (empty: in ties)."""

    reason: str
    arm: str
    votes: int
    result: Estimate


def named_reasons(values: Iterable[str]) -> list[str]:
    """Return the different reasons in a column, sorted.

    Examples
    --------
    >>> named_reasons(["anatomy|colour", "", "colour"])
    ['anatomy', 'colour']
    """
    # Few combinations, many votes: each combination is split once.
    return sorted({reason for value in set(values) for reason in value.split(REASON_SEPARATOR) if reason})


def reason_shares(table: VoteTable) -> list[ReasonShare]:
    """Return the share of each reason among the votes for each arm, and among ties.

    Parameters
    ----------
    table : VoteTable
        The votes that count, with the column ``reasons``: reasons joined by ``|``, empty where none was given.

    Raises
    ------
    ValueError
        If there are more than forty different ones, which are no categories.
    """
    reasons = named_reasons(table.extra["reasons"])
    if len(reasons) > MOST_REASONS:
        raise ValueError(f"{len(reasons)} different reasons; more than {MOST_REASONS} are no categories")
    chosen = np.where(table.choice == LEFT, table.arm_left, table.arm_right)
    groups = [(arm, np.flatnonzero((chosen == code) & (table.choice != TIE))) for code, arm in enumerate(table.arms)]
    ties = np.flatnonzero(table.choice == TIE)
    # Where ties are not asked for a reason, none of them having one says nothing.
    if named_reasons(table.extra["reasons"][ties]):
        groups.append((NO_ARM, ties))
    return [_share(table.rows(rows), reason, arm) for reason in reasons for arm, rows in groups if len(rows)]


def _share(votes: VoteTable, reason: str, arm: str) -> ReasonShare:
    given = _gives(votes.extra["reasons"], reason)
    result = crossed_share(given, votes, _METHOD, lack="no votes for the arm")
    return ReasonShare(reason=reason, arm=arm, votes=int(given.sum()), result=result)


def _gives(values: np.ndarray, reason: str) -> np.ndarray:
    known = {value: float(reason in value.split(REASON_SEPARATOR)) for value in set(values)}
    return np.array([known[value] for value in values], dtype=np.float64)
