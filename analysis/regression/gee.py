"""Generalised estimating equations by rater: exchangeable working correlation, sandwich errors; pairs ignored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from analysis.inference.crossing import crossing_of, site_lack
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import clamped_p, few_units_warning, joined
from analysis.votes.table import Comparison

__all__ = ["GeeFit", "fit_gee", "gee"]

_METHOD = (
    "GEE of the scores (ties 1/2) by rater, logit link{side}, exchangeable working correlation, sandwich errors, "
    "t interval with raters - 1 df on the logit scale; for these pairs"
)
# Far more than a fit takes: one that runs into it is refused by name.
_ITERATIONS = 100
_TOLERANCE = 1e-12
# Closer than this to a singular working correlation the weights are rounding errors.
_EDGE = 1e-6


@dataclass(frozen=True, kw_only=True)
class GeeFit:
    """Solution of the estimating equations.

    Parameters
    ----------
    beta : (k,) float64
        Intercept, and the side effect where both sides were shown; logit scale.
    covariance : (k, k) float64
        Sandwich covariance.
    correlation : float
        Exchangeable working correlation of a rater's votes.
    scale : float
        Pearson dispersion.
    """

    beta: np.ndarray
    covariance: np.ndarray
    correlation: float
    scale: float


def gee(comparison: Comparison) -> Estimate:
    """Return the preference rate by GEE with raters as clusters.

    Parameters
    ----------
    comparison : Comparison
        Ties count 1/2 under the binomial variance function. With both sides shown the rate is the mean over both.

    Returns
    -------
    Estimate
        Rate, interval, p against 1/2; secondary, because pairs are not treated as a sample.

    References
    ----------
    Liang and Zeger, Biometrika 73 (1986).
    """
    sums = _RaterSums(comparison)
    method = _METHOD.format(side="" if len(sums.design) == 1 else ", side shown as covariate")
    crossing = crossing_of(comparison)
    # Raters are the clusters here; raters alike within sites would break their independence.
    lack = _lack(comparison, sums) or site_lack(crossing)
    if lack:
        return refused(method, lack, **crossing.counts())
    try:
        fit = _solve(sums)
    except ArithmeticError as error:
        return refused(method, str(error), **crossing.counts())
    rates = special.expit(sums.design @ fit.beta)
    # Delta method on the mean of the two sides' rates.
    gradient = (rates * (1.0 - rates)) @ sums.design / len(rates)
    rate, variance = float(rates.mean()), float(gradient @ fit.covariance @ gradient)
    # The square of what counts as a zero standard error elsewhere.
    if not variance > 1e-24:
        reason = "no interval: the raters do not differ, so the standard error is zero"
        return Estimate(method=method, estimate=rate, reason=reason, **crossing.counts())
    centre, spread = float(special.logit(rate)), math.sqrt(variance) / (rate * (1.0 - rate))
    df = crossing.n_raters - 1
    half = float(stats.t.ppf(0.975, df)) * spread
    return Estimate(
        method=method,
        estimate=rate,
        ci95=(float(special.expit(centre - half)), float(special.expit(centre + half))),
        se=math.sqrt(variance),
        df=df,
        p_value=clamped_p(2 * stats.t.sf(abs(centre) / spread, df)),
        reason=joined(few_units_warning(crossing, pairs=False)),
        **crossing.counts(),
    )


def fit_gee(comparison: Comparison) -> GeeFit:
    """Solve the estimating equations of a comparison.

    Raises
    ------
    ArithmeticError
        If the iteration does not converge or the working correlation is not a correlation matrix for some rater.
    """
    return _solve(_RaterSums(comparison))


class _RaterSums:
    """Votes and scores of each rater on each side shown: sufficient, so that every step costs O(raters)."""

    def __init__(self, comparison: Comparison) -> None:
        crossing = crossing_of(comparison)
        left = comparison.side > 0
        shown = [side for side in (left, ~left) if side.any()]
        self.raters = crossing.n_raters
        # Sides as +-1/2: the intercept is then the log-odds midway between them.
        self.design = np.array([[1.0, 0.5], [1.0, -0.5]]) if len(shown) == 2 else np.ones((1, 1))
        sums = [
            (np.bincount(crossing.rater[side], minlength=self.raters), self._scores(comparison, crossing.rater, side))
            for side in shown
        ]
        self.votes = np.array([votes for votes, _ in sums], dtype=np.float64).reshape(len(shown), self.raters)
        self.scores = np.array([scores for _, scores in sums]).reshape(len(shown), self.raters)
        self.squares = np.array([float(np.square(comparison.score[side]).sum()) for side in shown])

    def _scores(self, comparison: Comparison, rater: np.ndarray, side: np.ndarray) -> np.ndarray:
        return np.bincount(rater[side], weights=comparison.score[side], minlength=self.raters)

    @property
    def load(self) -> np.ndarray:
        return self.votes.sum(axis=0)


def _lack(comparison: Comparison, sums: _RaterSums) -> str | None:
    if not len(comparison):
        return "no votes"
    if sums.raters < 2:
        return "only 1 rater; the sandwich needs at least 2"
    for scores, votes in zip(sums.scores.sum(axis=1), sums.votes.sum(axis=1), strict=True):
        if scores in (0.0, votes):
            winner = comparison.arm if scores else comparison.baseline
            return f"separation: all {int(votes)} votes with one side shown went to {winner}, no finite estimate exists"
    return None


def _solve(sums: _RaterSums) -> GeeFit:
    rates = sums.scores.sum(axis=1) / sums.votes.sum(axis=1)
    beta = np.linalg.solve(sums.design, special.logit(rates))
    for _ in range(_ITERATIONS):
        correlation, scale = _moments(sums, beta)
        bread, scores = _equations(sums, beta, correlation)
        step = np.linalg.solve(bread, scores.sum(axis=1))
        beta = beta + step
        if np.abs(step).max() < _TOLERANCE:
            break
    else:
        raise ArithmeticError(f"the estimating equations did not converge in {_ITERATIONS} iterations")
    # Once more at the solution: the errors must belong to the estimate that is given.
    correlation, scale = _moments(sums, beta)
    bread, scores = _equations(sums, beta, correlation)
    inverse = np.linalg.inv(bread)
    return GeeFit(beta=beta, covariance=inverse @ (scores @ scores.T) @ inverse, correlation=correlation, scale=scale)


def _moments(sums: _RaterSums, beta: np.ndarray) -> tuple[float, float]:
    """Pearson dispersion, and the mean product of two standardised residuals of one rater over it."""
    mean = special.expit(sums.design @ beta)
    variance = mean * (1.0 - mean)
    totals = sums.votes.sum(axis=1)
    square = (sums.squares - 2.0 * mean * sums.scores.sum(axis=1) + totals * mean**2) / variance
    scale = float(square.sum() / totals.sum())
    by_rater = (sums.scores - sums.votes * mean[:, None]) / np.sqrt(variance)[:, None]
    pairs = float((sums.load * (sums.load - 1.0)).sum())
    if pairs == 0.0 or scale < 1e-15:
        return 0.0, scale
    correlation = float((np.square(by_rater.sum(axis=0)).sum() - square.sum()) / (pairs * scale))
    # The largest cluster bounds how negative an exchangeable correlation can be.
    if not -1.0 / max(sums.load.max() - 1.0, 1.0) + _EDGE < correlation < 1.0 - _EDGE:
        raise ArithmeticError(f"the working correlation {correlation:.3g} is impossible for a rater's number of votes")
    return correlation, scale


def _equations(sums: _RaterSums, beta: np.ndarray, correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Bread (k, k) and each rater's estimating function (k, R); the dispersion and 1 / (1 - correlation) cancel."""
    mean = special.expit(sums.design @ beta)
    root = np.sqrt(mean * (1.0 - mean))
    residual = (sums.scores - sums.votes * mean[:, None]) / root[:, None]
    # The inverse of an exchangeable correlation in closed form: no matrix the size of a rater's votes.
    shared = correlation / (1.0 + (sums.load - 1.0) * correlation)
    scaled = sums.design * root[:, None]
    reach = scaled.T @ sums.votes
    scores = scaled.T @ residual - shared * reach * residual.sum(axis=0)
    bread = scaled.T @ (sums.votes.sum(axis=1)[:, None] * scaled) - (shared * reach) @ reach.T
    return bread, scores
