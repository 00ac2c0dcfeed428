"""The preference rate of an arm over its baseline: rater-averaged with the crossed interval, and its competitors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import stats

from analysis.inference.bootstrap import product_bootstrap
from analysis.inference.counts import Counts, count_votes
from analysis.inference.crossing import (
    Crossing,
    crossed_variance,
    crossing_of,
    distinct,
    rater_averaged_weights,
    sum_of_squares,
)
from analysis.inference.estimate import Estimate, Sizes, refused
from analysis.inference.intervals import LEVEL, clamped_p, few_units_warning, joined, rate_interval
from analysis.votes.table import Comparison

__all__ = [
    "SIDE_TOLERANCE",
    "binomial_exact",
    "clopper_pearson",
    "headline",
    "is_one_sided",
    "left_weight",
    "product_bootstrap",
    "rater_mean_decisive_t",
    "rater_mean_t",
    "two_way_t",
    "vote_mean",
    "weighted_mean",
    "wilson",
]

# Below this share of the weight, a side whose votes hold no error of their own tells nothing about the side.
_FEW_OF_A_SIDE = 0.1

# Sides count as balanced when the arm stood on the left for 1/2 +- this much of the weight. The position bias then left
# in the plain rate is at most 0.01 * (difference of the rates by side): a fifth of a point at a difference of 20.
SIDE_TOLERANCE = 0.01

_TWO_WAY = (
    "preference rate averaged over raters, ties split, two-way cluster-robust t interval "
    "(raters and pairs crossed, variance floored at the larger one-way component, df = min(raters, pairs) - 1)"
)
_ADJUSTED = f"position-adjusted {_TWO_WAY}; the adjustment is the intercept of the score on the side shown (+-1/2)"
_INDEPENDENT = (
    "decisive votes (ties dropped) treated as independent, which is anti-conservative when raters or pairs repeat"
)


def vote_mean(comparison: Comparison) -> Estimate:
    """Return the vote-weighted preference rate with ties split: the point estimate, without an interval."""
    method = "vote-weighted preference rate, ties split"
    crossing = crossing_of(comparison)
    if not len(comparison):
        return refused(method, "no votes", **crossing.counts())
    return Estimate(
        method=method, estimate=float(comparison.score.mean()), reason="point estimate only", **crossing.counts()
    )


def two_way_t(comparison: Comparison, *, adjusted: bool = False) -> Estimate:
    """Return the rater-averaged preference rate with the crossed two-way t interval.

    Parameters
    ----------
    comparison : Comparison
    adjusted : bool
        Take the mean of the rates by side shown (the intercept of the score on x = +-1/2) instead of the plain mean.

    Returns
    -------
    Estimate
        Rate in [0, 1], interval, p against 1/2. Without two raters and two pairs: the rate without an interval.

    Examples
    --------
    >>> from analysis.planning.simulation import Scenario, simulate_votes
    >>> comparison = simulate_votes(Scenario(raters=12, pairs=30, preference=0.7)).comparison("robust", "vanilla")
    >>> result = two_way_t(comparison)
    >>> result.ci95[0] < result.estimate < result.ci95[1], result.df
    (True, 11.0)

    References
    ----------
    Cameron, Gelbach and Miller, JBES 29 (2011).
    """
    crossing = crossing_of(comparison)
    return _two_way(comparison, crossing, rater_averaged_weights(crossing), adjusted=adjusted)


def _two_way(comparison: Comparison, crossing: Crossing, weights: np.ndarray, *, adjusted: bool) -> Estimate:
    result = _crossed(comparison, crossing, weights, adjusted=adjusted)
    few = few_units_warning(crossing) if result.ci95 is not None else None
    if adjusted and few is None and result.ci95 is not None and (few := _few_of_a_side(comparison)):
        result = result.with_reason(few)
    return replace(result, is_position_adjusted=adjusted, few_units=few)


def _few_of_a_side(comparison: Comparison) -> str | None:
    """Return the warning for a side that few units saw: the adjusted rate rests on either side's mean alike."""
    rarer = _rarer_side(comparison)
    few = few_units_warning(crossing_of(comparison.only(("site",)).rows(rarer)))
    if few is None:
        return None
    side = "left" if comparison.side[int(np.argmax(rarer))] > 0 else "right"
    return few.replace(":", f" with the arm on the {side}:", 1)


def _rarer_side(comparison: Comparison) -> np.ndarray:
    left = comparison.side > 0
    return left if 2 * np.count_nonzero(left) <= len(left) else ~left


def _crossed(comparison: Comparison, crossing: Crossing, weights: np.ndarray, *, adjusted: bool) -> Estimate:
    method = _ADJUSTED if adjusted else _TWO_WAY
    if not len(comparison):
        return refused(method, "no votes", **crossing.counts())
    if adjusted and not 0.0 < left_weight(comparison, weights) < 1.0:
        return refused(
            method,
            f"not estimable: {comparison.one_sided}, position and arm are confounded",
            **crossing.counts(),
        )
    rate, influence = _intercept(comparison, weights) if adjusted else _mean(comparison, crossing, weights)
    lack = _too_few_units(crossing)
    if lack:
        return Estimate(method=method, estimate=rate, reason=lack, **crossing.counts())
    variance = crossed_variance(influence, crossing).total
    return rate_interval(
        rate,
        math.sqrt(max(variance, 0.0)),
        df=crossing.df,
        method=method,
        reason=few_units_warning(crossing),
        counts=crossing.counts(),
    )


def _too_few_units(crossing: Crossing) -> str | None:
    few = crossing.few_units()
    return few and f"no interval: {few}, and the crossed interval needs at least 2 raters and 2 pairs"


def _mean(comparison: Comparison, crossing: Crossing, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean of the raters' rates and each vote's influence on it."""
    rate = float(rater_rates(comparison.score, crossing).mean())
    return rate, weights * (comparison.score - rate)


def _intercept(comparison: Comparison, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Weighted least squares of s on (1, x): with x = +-1/2 the fit is the side means, the intercept their average."""
    left = comparison.side > 0
    rate, influence = 0.0, np.empty(len(comparison))
    for shown in (left, ~left):
        share = weights[shown] / weights[shown].sum()
        side_rate = weighted_mean(comparison.score[shown], weights[shown])
        rate += 0.5 * side_rate
        influence[shown] = 0.5 * share * (comparison.score[shown] - side_rate)
    # Two rounded means may add up to just beyond the border.
    return min(max(rate, 0.0), 1.0), influence


def weighted_mean(score: np.ndarray, weights: np.ndarray) -> float:
    """Return sum(w s) / sum(w), both sums in the same order, so that a constant score keeps its value exactly."""
    return float(np.sum(weights * score) / np.sum(weights))


def left_weight(comparison: Comparison, weights: np.ndarray) -> float:
    """Return the share of the weight (summing to 1) with which the arm stood on the left."""
    left = comparison.side > 0
    # Exactly 1: a sum of weights may miss it by rounding, and one side would pass for two.
    return 1.0 if left.all() else float(weights[left].sum())


def is_one_sided(comparison: Comparison, weights: np.ndarray) -> bool:
    """Return whether one side was never shown, or so rarely that its mean has no error: a single vote, say.

    Such a mean would weigh as much as that of all other votes, and for certain. Votes whose sides nobody recorded are
    not one-sided.
    """
    share = left_weight(comparison, weights)
    if not len(comparison) or not comparison.side.any() or _FEW_OF_A_SIDE <= share <= 1.0 - _FEW_OF_A_SIDE:
        return False
    votes = comparison.only(("site",)).rows(_rarer_side(comparison))
    crossing = crossing_of(votes)
    return bool(crossing.few_units()) or float(np.ptp(votes.score)) == 0.0


def headline(comparison: Comparison) -> Estimate:
    """Return the first line of a report: ``two_way_t``, position-adjusted when the sides shown are not balanced.

    Balanced means that the arm stood on the left for 1/2 +- ``SIDE_TOLERANCE`` of the rater-averaged weight. Where the
    votes are one-sided, or nobody recorded the sides, the adjusted rate is not estimable; the plain rate is returned,
    its reason says that it may be biased.
    """
    if not len(comparison):
        return two_way_t(comparison)
    crossing = crossing_of(comparison)
    weights = rater_averaged_weights(crossing)
    share = left_weight(comparison, weights)
    shown = f"the arm was on the left for {share:.1%} of the weight"
    if not 0.0 < share < 1.0 or is_one_sided(comparison, weights):
        shown = shown if comparison.side.any() else comparison.one_sided
        biased = f"{shown}, so no position adjustment is possible and the rate may carry position bias"
        return _two_way(comparison, crossing, weights, adjusted=False).with_reason(biased)
    # The slack keeps the choice symmetric in the arms where rounding would put 0.51 and 0.49 on different sides of it.
    adjusted = abs(share - 0.5) > SIDE_TOLERANCE + 1e-9
    result = _two_way(comparison, crossing, weights, adjusted=adjusted)
    choice = "adjusted because sides are not balanced" if adjusted else "not adjusted because sides are balanced"
    return replace(result, method=f"{result.method}; {choice}: {shown}")


def rater_mean_t(comparison: Comparison) -> Estimate:
    """Return the mean over raters of their own rates (ties split) with the t interval on R - 1 degrees of freedom.

    The statistic of Kawar, Ganz and Elad (TMLR 2023): raters are a sample, the pairs are these pairs.
    """
    method = "mean over raters of each rater's rate, ties split, one-sample t interval on R - 1 df; for these pairs"
    return _rater_t(comparison, method, None)


def rater_mean_decisive_t(comparison: Comparison) -> Estimate:
    """Return ``rater_mean_t`` over decisive votes; raters without one drop out and are counted in the reason."""
    method = (
        "mean over raters of each rater's wins / (wins + losses), one-sample t interval on R - 1 df; for these pairs"
    )
    voters = crossing_of(comparison).n_raters
    decisive = decisive_votes(comparison.only(("site",)))
    dropped = voters - crossing_of(decisive).n_raters
    remark = f"{dropped} of {voters} raters without a decisive vote left out" if dropped else None
    return _rater_t(decisive, method, remark)


def decisive_votes(comparison: Comparison) -> Comparison:
    """Return the votes that are not ties."""
    return comparison.rows(comparison.score != 0.5)


def _rater_t(comparison: Comparison, method: str, remark: str | None) -> Estimate:
    crossing = crossing_of(comparison)
    if not len(comparison):
        return refused(method, joined("no votes to average", remark), **crossing.counts())
    rates = rater_rates(comparison.score, crossing)
    if crossing.n_raters < 2:
        reason = joined("no interval: only 1 rater, and the t interval needs at least 2", remark)
        return Estimate(method=method, estimate=float(rates[0]), reason=reason, **crossing.counts())
    # Without sites each rater is a unit, and this is the standard error of the mean of the rates.
    units = np.bincount(crossing.unit_of_rater(), weights=rates - rates.mean(), minlength=crossing.n_units) / len(rates)
    variance = sum_of_squares(units) * crossing.n_units / (crossing.n_units - 1)
    return rate_interval(
        float(rates.mean()),
        math.sqrt(variance),
        df=crossing.n_units - 1,
        method=method,
        reason=joined(few_units_warning(crossing, pairs=False), remark),
        counts=crossing.counts(),
    )


def rater_rates(score: np.ndarray, crossing: Crossing) -> np.ndarray:
    """Return each rater's mean score, (R,) float64 in [0, 1]; the sums of halves are exact in any row order."""
    load = np.bincount(crossing.rater, minlength=crossing.n_raters)
    return np.bincount(crossing.rater, weights=score, minlength=crossing.n_raters) / load


def wilson(comparison: Comparison) -> Estimate:
    """Return wins / (wins + losses) with Wilson's score interval and the score test's p against 1/2.

    References
    ----------
    Wilson, JASA 22 (1927).
    """
    counts, sizes = count_votes(comparison), _decisive_sizes(comparison)
    method = f"decisive rate, Wilson score interval, {_INDEPENDENT}"
    if not counts.decisive:
        return refused(method, "no decisive votes", **sizes)
    n, rate = counts.decisive, counts.wins / counts.decisive
    z = stats.norm.ppf(0.5 + LEVEL / 2)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # Exactly 0 and 1 where the formula leaves rounding.
    low = 0.0 if counts.wins == 0 else centre - half
    high = 1.0 if counts.losses == 0 else centre + half
    p_value = clamped_p(2 * stats.norm.sf(abs(rate - 0.5) / math.sqrt(0.25 / n)))
    return Estimate(method=method, estimate=rate, ci95=(low, high), se=_binomial_se(counts), p_value=p_value, **sizes)


def clopper_pearson(comparison: Comparison) -> Estimate:
    """Return wins / (wins + losses) with the exact (Clopper-Pearson) interval and the exact binomial p.

    References
    ----------
    Clopper and Pearson, Biometrika 26 (1934).
    """
    return _exact(comparison, f"decisive rate, Clopper-Pearson interval, {_INDEPENDENT}")


def binomial_exact(comparison: Comparison) -> Estimate:
    """Return the exact two-sided binomial test of the decisive votes against 1/2, with its Clopper-Pearson interval."""
    return _exact(comparison, f"exact two-sided binomial test against 1/2, {_INDEPENDENT}")


def _exact(comparison: Comparison, method: str) -> Estimate:
    counts, sizes = count_votes(comparison), _decisive_sizes(comparison)
    if not counts.decisive:
        return refused(method, "no decisive votes", **sizes)
    return exact_rate(counts.wins, counts.losses, method=method, sizes=sizes)


def exact_rate(wins: int, losses: int, *, method: str, sizes: Sizes, reason: str | None = None) -> Estimate:
    """Return the exact binomial result of independent successes and failures, at least one of them.

    Zero successes or failures give the exact one-sided border 0 or 1 and no standard error (it would be 0).
    """
    n, tail = wins + losses, (1 - LEVEL) / 2
    low = float(stats.beta.ppf(tail, wins, losses + 1)) if wins else 0.0
    high = float(stats.beta.isf(tail, wins + 1, losses)) if losses else 1.0
    # Symmetric under 1/2, so the two-sided p is twice the smaller tail.
    p_value = clamped_p(2 * stats.binom.cdf(min(wins, losses), n, 0.5))
    counts = Counts(wins=wins, losses=losses, ties=0)
    return Estimate(
        method=method,
        estimate=wins / n,
        ci95=(low, high),
        se=_binomial_se(counts),
        p_value=p_value,
        reason=reason,
        **sizes,
    )


def _binomial_se(counts: Counts) -> float | None:
    rate = counts.wins / counts.decisive
    # A zero error at 0 or 1 is an artefact of the formula and not a certainty.
    return math.sqrt(rate * (1 - rate) / counts.decisive) or None


def _decisive_sizes(comparison: Comparison) -> Sizes:
    decisive = np.flatnonzero(comparison.score != 0.5)
    raters, pairs = distinct(comparison.rater[decisive]), distinct(comparison.pair[decisive])
    return {"n_raters": raters, "n_pairs": pairs, "n_votes": len(decisive)}
