"""The preference rate with the help of a judge that scored more pairs than raters saw.

References
----------
Angelopoulos, Duchi and Zrnic, "PPI++: Efficient Prediction-Powered Inference", arXiv 2311.01453: the judge enters as a
control variate whose weight is tuned, so that a judge who knows nothing costs nothing. There, labels are independent;
here raters and pairs are crossed, so the variance is the two-way cluster variance of the adjusted votes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import Crossing, crossed_variance, crossing_of, rater_averaged_weights
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import few_units_warning, joined, rate_interval
from analysis.preference.rate import two_way_t
from analysis.votes.table import Comparison

__all__ = ["Powered", "prediction_powered_rate"]

_METHOD = (
    "prediction-powered preference rate: rater-averaged, ties split, the judge as a control variate on pairs, two-way "
    "cluster-robust t interval (raters, or sites of raters, and pairs crossed, df = min(units, pairs) - 1)"
)
# The weight of the judge is estimated on the voted pairs: with fewer of them it would follow their noise.
FEWEST_PAIRS = 10
# Differences of scores that are alike but for rounding.
_NOISE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Powered:
    """The rate with a judge's help, and what the help is worth.

    Parameters
    ----------
    result : Estimate
    weight : float
        Slope of the votes on the judge's preference, times the share of pairs without votes; 0 leaves the judge out.
    n_unvoted : int
        Pairs that the judge scored and no rater saw.
    variance_ratio : float or None
        Variance with the judge over variance without; None without an interval.
    """

    result: Estimate
    weight: float
    n_unvoted: int
    variance_ratio: float | None


def prediction_powered_rate(comparison: Comparison, judged: np.ndarray, unvoted: np.ndarray) -> Powered:
    """Return the preference rate over all pairs that the judge scored.

    Parameters
    ----------
    comparison : Comparison
        The votes. Their pairs must be a random sample of the scored ones: nothing here can check that.
    judged : (N,) float64
        The judge's preference on each vote's pair, in any unit; NaN where it gave none (such votes are left out).
    unvoted : (M,) float64
        The judge's preference on the pairs that no rater saw.

    Returns
    -------
    Powered
        ``result`` is refused with fewer than two raters (or sites, where raters are grouped in them), ten voted pairs
        or two unvoted ones.
    """
    usable = np.isfinite(judged)
    votes, judged, unvoted = comparison.rows(usable), judged[usable], unvoted[np.isfinite(unvoted)]
    unit = _largest(judged, unvoted)
    # In a unit of their own: squares of what a judge may give would overflow.
    judged, unvoted = judged / unit, unvoted / unit
    crossing = crossing_of(votes)
    left_out = None if usable.all() else f"{np.count_nonzero(~usable)} votes on pairs without a score left out"
    lack = _lack(crossing, len(unvoted))
    if lack:
        result = refused(_METHOD, joined(lack, left_out) or lack, **crossing.counts())
        return Powered(result=result, weight=0.0, n_unvoted=len(unvoted), variance_ratio=None)
    # The weight that minimises the variance: the more pairs only the judge saw, the more it can take off.
    share = len(unvoted) / (len(unvoted) + crossing.n_pairs)
    weights = rater_averaged_weights(crossing)
    weight = share * _slope(votes.score, judged, weights)
    adjusted = votes.score - weight * judged
    mean = float(np.sum(weights * adjusted))
    variance = crossed_variance(weights * (adjusted - mean), crossing).total
    # The judge's mean over the other pairs is an independent sample, with an error of its own.
    variance += weight**2 * float(unvoted.var(ddof=1)) / len(unvoted)
    rate = mean + weight * float(unvoted.mean())
    result = rate_interval(
        # A correction may carry a rate near the border beyond it.
        min(max(rate, 0.0), 1.0),
        math.sqrt(variance),
        df=crossing.df,
        method=_METHOD,
        reason=joined(few_units_warning(crossing), left_out),
        counts=crossing.counts(),
    )
    plain = two_way_t(votes)
    ratio = None if not plain.se else variance / plain.se**2
    return Powered(result=result, weight=weight / unit, n_unvoted=len(unvoted), variance_ratio=ratio)


def _largest(*values: np.ndarray) -> float:
    """Return the largest absolute value, or 1 where there is none but zeros."""
    return max((float(np.abs(one).max()) for one in values if len(one)), default=0.0) or 1.0


def _lack(crossing: Crossing, unvoted: int) -> str | None:
    people, pairs = f"{crossing.n_units} {crossing.unit_name}s", crossing.n_pairs
    if crossing.n_units < 2 or pairs < FEWEST_PAIRS:
        return f"only {people} and {pairs} voted pairs; it needs 2 and {FEWEST_PAIRS}"
    if unvoted < 2:
        return f"only {unvoted} scored pairs without votes: the judge has nothing to add"
    return None


def _slope(score: np.ndarray, judged: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted least-squares slope of the votes on the judge's preference; 0 for a judge of one opinion."""
    # One opinion: what rounding leaves around its mean would make a slope of any size.
    if np.ptp(judged) <= _NOISE * np.abs(judged).max():
        return 0.0
    centred = judged - np.sum(weights * judged)
    spread = float(np.sum(weights * centred**2))
    return float(np.sum(weights * centred * score)) / spread
