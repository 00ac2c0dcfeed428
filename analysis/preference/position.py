"""Position bias: is the left image chosen more often, by all and by each rater, and what is the rate without it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.inference.counts import count_sides
from analysis.inference.crossing import (
    crossed_variance,
    crossing_from,
    crossing_of,
    group_index,
    rater_averaged_weights,
)
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import clamped_p, few_units_warning, rate_interval, t_interval
from analysis.preference.rate import left_weight, two_way_t, weighted_mean
from analysis.votes.table import LEFT, RIGHT, TIE, Comparison, VoteTable

__all__ = ["RaterLeftShare", "adjusted_rate", "left_rate", "position_effect", "rater_left_shares"]


def left_rate(table: VoteTable) -> Estimate:
    """Return the share of decisive votes that went to the left image, with the crossed interval and p against 1/2.

    Raters lean to one side or the other, each in a way of their own: votes taken as independent would call that a bias
    of all. Where no rater differs from another there is no interval.
    """
    method = (
        "share of decisive votes for the left image, two-way cluster-robust t interval (raters and pairs crossed, "
        "variance floored at the larger one-way component, df = min(raters, pairs) - 1)"
    )
    decisive = table.choice != TIE
    site = table.extra["site"][decisive] if "site" in table.extra else None
    crossing = crossing_from(table.rater[decisive], table.pair[decisive], site)
    sides = count_sides(table)
    # A file without sides may put one arm first in every row: first is not left.
    if not table.sides_known:
        return refused(method, "nobody recorded which arm stood on which side", **crossing.counts())
    if not sides.decisive:
        return refused(method, "no decisive votes", **crossing.counts())
    share = sides.left / sides.decisive
    if few := crossing.few_units():
        reason = f"no interval: {few}, and the crossed interval needs at least 2 raters and 2 pairs"
        return Estimate(method=method, estimate=share, reason=reason, **crossing.counts())
    influence = ((table.choice[decisive] == LEFT) - share) / sides.decisive
    return rate_interval(
        share,
        math.sqrt(max(crossed_variance(influence, crossing).total, 0.0)),
        df=crossing.df,
        method=method,
        reason=few_units_warning(crossing),
        counts=crossing.counts(),
    )


def adjusted_rate(comparison: Comparison) -> Estimate:
    """Return the mean of the arm's rates by side shown, crossed interval: what stays without the position effect."""
    return two_way_t(comparison, adjusted=True)


def position_effect(comparison: Comparison) -> Estimate:
    """Return the rate with the arm on the left minus the rate with it on the right, rater-averaged, crossed t interval.

    Returns
    -------
    Estimate
        A difference of rates in [-1, 1]; p against 0.
    """
    method = (
        "rate with the arm on the left minus rate with it on the right, rater-averaged, ties split, two-way t interval"
    )
    crossing = crossing_of(comparison)
    if not len(comparison):
        return refused(method, "no votes", **crossing.counts())
    weights = rater_averaged_weights(crossing)
    if not 0.0 < left_weight(comparison, weights) < 1.0:
        return refused(method, f"not estimable: {comparison.one_sided}", **crossing.counts())
    effect, influence = _side_difference(comparison, weights)
    if crossing.few_units():
        reason = "no interval: the crossed interval needs at least 2 raters and 2 pairs"
        return Estimate(method=method, estimate=effect, reason=reason, **crossing.counts())
    return t_interval(
        effect,
        math.sqrt(max(crossed_variance(influence, crossing).total, 0.0)),
        df=crossing.df,
        method=method,
        reason=few_units_warning(crossing),
        counts=crossing.counts(),
    )


def _side_difference(comparison: Comparison, weights: np.ndarray) -> tuple[float, np.ndarray]:
    left = comparison.side > 0
    effect, influence = 0.0, np.empty(len(comparison))
    for shown, sign in ((left, 1.0), (~left, -1.0)):
        share = weights[shown] / weights[shown].sum()
        rate = weighted_mean(comparison.score[shown], weights[shown])
        effect += sign * rate
        influence[shown] = sign * share * (comparison.score[shown] - rate)
    return effect, influence


@dataclass(frozen=True)
class RaterLeftShare:
    """One rater's sides: counts, left share of the decisive votes (None without one), exact two-sided p against 1/2."""

    rater: str
    left: int
    right: int
    ties: int
    share: float | None
    p_value: float | None


def rater_left_shares(table: VoteTable) -> list[RaterLeftShare]:
    """Return the sides chosen by each rater who voted, in the order of the labels."""
    rater, present = group_index(table.rater)
    left, right, ties = (
        np.bincount(rater[table.choice == side], minlength=len(present)) for side in (LEFT, RIGHT, TIE)
    )
    # Symmetric under 1/2: twice the smaller tail, cut where both sides are equal.
    tails = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(left, right), left + right, 0.5))
    return [
        RaterLeftShare(
            rater=table.raters[code],
            left=int(left[row]),
            right=int(right[row]),
            ties=int(ties[row]),
            share=float(left[row] / (left[row] + right[row])) if left[row] + right[row] else None,
            p_value=clamped_p(tails[row]) if left[row] + right[row] else None,
        )
        for row, code in enumerate(present)
    ]
