"""How often raters find an arm's images good enough: a second quantity beside the preference.

A vote says of both of its images whether they are acceptable, so that each vote is about two arms. The preference rate
takes nothing from it: who finds both images bad and prefers neither has given a tie.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from analysis.inference.crossing import Crossing, crossed_variance, crossing_from, rater_averaged_weights
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import few_units_warning, rate_interval, t_interval
from analysis.votes.table import Comparison, VoteTable

__all__ = ["acceptable_difference", "acceptable_share", "crossed_share"]

_CROSSED = (
    "averaged over raters, two-way cluster-robust t interval (raters and pairs crossed, variance floored at the larger "
    "one-way component, df = min(raters, pairs) - 1)"
)
_SHARE = f"share of the arm's showings that raters found acceptable, {_CROSSED}"
_DIFFERENCE = f"acceptable (1) or not (0) of the arm minus that of its baseline in the same vote, {_CROSSED}"
_NOT_ASKED = "no vote says which images are acceptable"


def acceptable_share(table: VoteTable, arm: str) -> Estimate:
    """Return the share of an arm's showings that raters found acceptable, against whichever arm it stood.

    Parameters
    ----------
    table : VoteTable
        The votes that count, with the column ``acceptable``; votes that leave it empty are left out.
    arm : str
        One of its arms.

    Returns
    -------
    Estimate
        Share in [0, 1] without a test: no share of acceptable images is a natural null.
    """
    code = table.arms.index(arm)
    on_left = table.arm_left == code
    rows = np.flatnonzero(_is_answered(table) & (on_left | (table.arm_right == code)))
    values = _is_acceptable(table.extra["acceptable"][rows], on_left[rows])
    return crossed_share(values, table.rows(rows), _SHARE, lack=_NOT_ASKED)


def acceptable_difference(table: VoteTable, arm: str, baseline: str) -> Estimate:
    """Return how much more often an arm's image is acceptable than its baseline's in the same votes.

    Parameters
    ----------
    table : VoteTable
        As for :func:`acceptable_share`.
    arm, baseline : str
        Two of its arms.
    """
    one, other = table.arms.index(arm), table.arms.index(baseline)
    on_left = (table.arm_left == one) & (table.arm_right == other)
    is_between = on_left | ((table.arm_left == other) & (table.arm_right == one))
    rows = np.flatnonzero(_is_answered(table) & is_between)
    said, left = table.extra["acceptable"][rows], on_left[rows]
    values = _is_acceptable(said, left) - _is_acceptable(said, ~left)
    crossing = _crossing(table.rows(rows))
    if not len(crossing):
        return refused(_DIFFERENCE, _NOT_ASKED, **crossing.counts())
    if lack := _too_few(crossing):
        return refused(_DIFFERENCE, lack, **crossing.counts())
    mean, se = _mean(values, crossing)
    reason = few_units_warning(crossing)
    return t_interval(mean, se, df=crossing.df, method=_DIFFERENCE, reason=reason, counts=crossing.counts())


def crossed_share(values: np.ndarray, votes: VoteTable | Comparison, method: str, *, lack: str) -> Estimate:
    """Return the rater-averaged share of votes with a property, with the crossed interval and without a test.

    Parameters
    ----------
    values : (N,) float64
        1 where a vote has the property, else 0.
    votes : VoteTable or Comparison
        Whose raters, pairs and sites the votes are.
    method : str
        The method in words.
    lack : str
        Why there is no share, where there are no votes.
    """
    crossing = _crossing(votes)
    if not len(crossing):
        return refused(method, lack, **crossing.counts())
    if few := _too_few(crossing):
        share = float(np.sum(rater_averaged_weights(crossing) * values))
        return Estimate(method=method, estimate=share, reason=few, **crossing.counts())
    share, se = _mean(values, crossing)
    result = rate_interval(
        share, se, df=crossing.df, method=method, reason=few_units_warning(crossing), counts=crossing.counts()
    )
    return replace(result, p_value=None)


def _crossing(votes: VoteTable | Comparison) -> Crossing:
    return crossing_from(votes.rater, votes.pair, votes.extra.get("site"))


def _mean(values: np.ndarray, crossing: Crossing) -> tuple[float, float]:
    """Return the mean over raters of their own means, and its crossed standard error."""
    weights = rater_averaged_weights(crossing)
    # Divided by their sum, so that a property that every vote has is exactly 1.
    mean = float(np.sum(weights * values) / np.sum(weights))
    variance = crossed_variance(weights * (values - mean), crossing).total
    return mean, math.sqrt(max(variance, 0.0))


def _too_few(crossing: Crossing) -> str | None:
    few = crossing.few_units()
    return few and f"no interval: {few}, and the crossed interval needs at least 2 raters and 2 pairs"


def _is_answered(table: VoteTable) -> np.ndarray:
    return table.extra["acceptable"] != ""


def _is_acceptable(said: np.ndarray, on_left: np.ndarray) -> np.ndarray:
    own = np.where(on_left, "left", "right")
    return ((said == "both") | (said == own)).astype(np.float64)
