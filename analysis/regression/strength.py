"""Graded preferences (slightly, clearly, much better) by the crossed cumulative logit model, direction kept apart.

The model is that of :mod:`analysis.regression.ordinal` with more than one grade a side: thresholds lie symmetrically,
so that no arm and no side has an easier grade.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from analysis.inference.crossing import Crossing, crossed_variance, crossing_of, rater_averaged_weights
from analysis.inference.estimate import Estimate, Sizes, refused
from analysis.inference.intervals import few_units_warning, t_interval
from analysis.inference.separation import has_recession_direction
from analysis.regression.cells import BinomialCells, binomial_cells
from analysis.regression.glmm import ONE_SIDE, divergence, fit_crossed
from analysis.regression.laplace_fit import LaplaceFit
from analysis.regression.logistic_rates import (
    CrossedModel,
    Lack,
    between_df,
    coefficient,
    crossing_lack,
    log_interval,
    random_effects,
    rate_estimate,
    single_vote_factors,
)
from analysis.votes.table import Comparison

__all__ = ["StrengthMixed", "graded", "mean_grade", "strength_mixed"]

_MODEL = (
    "cumulative logit of the signed grades with crossed random intercepts of raters and pairs and the side shown, "
    "thresholds symmetric about no preference, Laplace likelihood, t with min(raters, pairs) - 1 df but for side and "
    "thresholds"
)
_WORDS = {
    "intercept": "log-odds for the arm at balanced sides",
    "position": "log-odds for the image on the left",
    "marginal_score": "P(arm) + P(tie) / 2, integrated over raters and pairs, mean over both sides",
}
_METHODS = {name: f"{words}; {_MODEL}" for name, words in _WORDS.items()}
_THRESHOLD = f"distance of a threshold from no preference, log-odds, interval on the log scale; {_MODEL}"
_MEAN = (
    "signed grade of a vote (ties 0), averaged over raters, two-way cluster-robust t interval (raters and pairs "
    "crossed, df = min(raters, pairs) - 1)"
)


@dataclass(frozen=True, kw_only=True)
class StrengthMixed(CrossedModel):
    """The crossed model of graded preferences of one comparison.

    Parameters
    ----------
    intercept, position : Estimate
        As in :class:`analysis.regression.ordinal.OrdinalMixed`.
    marginal_score : Estimate
        The rate of the direction alone, ties split, that the graded answers imply.
    thresholds : tuple of Estimate
        Distances of the thresholds from no preference, ascending: the first between a tie and the weakest grade that
        was used, where there are ties.
    levels : tuple of int
        The grades that were used, a side; 0 stands for ties.
    """

    intercept: Estimate
    position: Estimate
    marginal_score: Estimate
    thresholds: tuple[Estimate, ...] = ()
    levels: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the mapping of ``report.json``."""
        return {
            **{name: getattr(self, name).as_json() for name in _METHODS},
            "thresholds": [threshold.as_json() for threshold in self.thresholds],
            "levels": list(self.levels),
            **self.spread_as_json(),
            **self.remarks_as_json(),
        }


def graded(comparison: Comparison) -> tuple[Comparison, np.ndarray]:
    """Return the votes that have a grade or are ties, and their signed grades, (N,) int64: positive for the arm."""
    strength, is_tie = comparison.extra["strength"], comparison.score == 0.5
    rows = np.flatnonzero(is_tie | ~np.isnan(strength))
    votes = comparison.rows(rows)
    size = np.where(is_tie[rows], 0.0, strength[rows])
    return votes, np.rint(np.where(votes.score == 0.0, -size, size)).astype(np.int64)


def mean_grade(comparison: Comparison) -> Estimate:
    """Return the mean signed grade with the crossed interval: in units of the scale, 0 for no preference."""
    votes, grades = graded(comparison)
    crossing = crossing_of(votes)
    if not len(votes):
        return refused(_MEAN, "no vote has a grade", **crossing.counts())
    if few := crossing.few_units():
        return refused(_MEAN, f"no interval: {few}", **crossing.counts())
    weights = rater_averaged_weights(crossing)
    mean = float(np.sum(weights * grades) / np.sum(weights))
    se = math.sqrt(max(crossed_variance(weights * (grades - mean), crossing).total, 0.0))
    reason = few_units_warning(crossing)
    return t_interval(mean, se, df=crossing.df, method=_MEAN, reason=reason, counts=crossing.counts())


def strength_mixed(comparison: Comparison) -> StrengthMixed:
    """Fit the crossed cumulative logit model to the graded votes of a comparison.

    Parameters
    ----------
    comparison : Comparison
        With the column ``strength``; decisive votes without a grade are left out.

    Returns
    -------
    StrengthMixed
        Grades that nobody used are left out of the scale. With one grade alone, without votes for either arm, under
        separation or with too few raters or pairs the numbers are refused with the reason.

    Notes
    -----
    Between thresholds a < b, ``P = F(eta - a) (1 - F(eta - b)) (1 - e^(a - b))`` exactly: a vote in an inner category
    is a success at a, a failure at b, and a term of its own, as a tie is in :mod:`analysis.regression.ordinal`.

    References
    ----------
    McCullagh, JRSS B 42 (1980); Agresti, Applied Statistics 41 (1992), for paired comparisons; the same likelihood as
    ``ordinal::clmm`` with symmetric thresholds.
    """
    votes, grades = graded(comparison)
    crossing = crossing_of(votes)
    lack = crossing_lack(crossing, "graded votes") or _scale_lack(grades)
    if lack:
        return _refusal(lack, crossing)
    scale = _Scale.of(grades)
    cells = _cells(votes, crossing, scale.places(grades), scale)
    if _is_separated(cells):
        return _refusal(Lack("separation: with one side shown the grades reach one end only", True), crossing)
    left_out = single_vote_factors(crossing)
    term = _GapTerm(*scale.gaps(grades))
    fit = fit_crossed(cells, left_out, beta=_start(cells, scale, grades), term=term)
    if fit.failure or fit.covariance is None:
        return _refusal(divergence(fit, votes, crossing), crossing)
    return _result(fit, crossing, left_out, scale)


def _scale_lack(grades: np.ndarray) -> Lack | None:
    if not (np.any(grades > 0) and np.any(grades < 0)):
        return Lack("separation: every graded vote is for the same arm", is_separation=True)
    if len(np.unique(np.abs(grades[grades != 0]))) < 2:
        return Lack("only one grade was used; direction says as much")
    return None


@dataclass(frozen=True)
class _Scale:
    """The grades in use and the thresholds between them: ``-d_m .. -d_1 (0 without ties) d_1 .. d_m``.

    Parameters
    ----------
    levels : tuple of int
        Sizes of grades in use, ascending; 0 first where there are ties.
    """

    levels: tuple[int, ...]

    @classmethod
    def of(cls, grades: np.ndarray) -> _Scale:
        return cls(tuple(int(size) for size in np.unique(np.abs(grades))))

    @property
    def has_ties(self) -> bool:
        return self.levels[0] == 0

    @property
    def free(self) -> int:
        """How many distances of thresholds are to be estimated."""
        return len(self.levels) - 1

    def places(self, grades: np.ndarray) -> np.ndarray:
        """Return each grade's place among all categories, from the strongest for the baseline."""
        size = np.searchsorted(self.levels, np.abs(grades))
        if self.has_ties:
            return np.where(grades < 0, -size, size) + self.free
        return np.where(grades < 0, self.free - size, self.free + 1 + size)

    def threshold_rows(self) -> np.ndarray:
        """Return, for each threshold from the lowest, its share of the linear predictor ``eta - threshold``."""
        own = -np.eye(self.free)
        middle = np.zeros((0 if self.has_ties else 1, self.free))
        return np.vstack((-own[::-1], middle, own))

    def gaps(self, grades: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return votes of each inner level, and its width as a linear form of the distances."""
        votes = np.array([np.count_nonzero(np.abs(grades) == level) for level in self.levels[:-1]], dtype=np.float64)
        form = np.eye(self.free)
        form[1:] -= np.eye(self.free)[:-1]
        # A tie lies between a threshold and its mirror image; without ties the innermost grade begins at 0.
        form[0] *= 2.0 if self.has_ties else 1.0
        return votes, form


@dataclass(frozen=True)
class _GapTerm:
    """sum of n log(1 - e^(-gap)) over inner categories, gaps linear in the last fixed effects."""

    votes: np.ndarray
    form: np.ndarray

    def __call__(self, beta: np.ndarray) -> tuple[float, np.ndarray]:
        gradient, free = np.zeros(len(beta)), self.form.shape[1]
        gap = self.form @ beta[-free:]
        if np.any(gap <= 0.0):
            return -math.inf, gradient
        # expm1 keeps the digits where thresholds lie close together.
        gradient[-free:] = self.form.T @ (self.votes / np.expm1(gap))
        return float(self.votes @ np.log(-np.expm1(-gap))), gradient


def _cells(votes: Comparison, crossing: Crossing, place: np.ndarray, scale: _Scale) -> BinomialCells:
    thresholds = scale.threshold_rows()
    # A category is above the threshold below it, and below the one above it; the two outermost have one neighbour.
    above, below = np.flatnonzero(place > 0), np.flatnonzero(place < len(thresholds))
    return binomial_cells(
        crossing,
        vote=np.concatenate((above, below)),
        side=votes.side,
        success=np.repeat([1.0, 0.0], [len(above), len(below)]),
        threshold=np.concatenate((place[above] - 1, place[below])),
        thresholds=thresholds,
    )


def _is_separated(cells: BinomialCells) -> bool:
    rows, group = np.unique(cells.design, axis=0, return_inverse=True)
    wins = np.bincount(group.ravel(), weights=cells.successes)
    losses = np.bincount(group.ravel(), weights=cells.trials) - wins
    return has_recession_direction(np.stack((rows, np.zeros_like(rows)), axis=1), np.column_stack((wins, losses)))


def _start(cells: BinomialCells, scale: _Scale, grades: np.ndarray) -> np.ndarray:
    """Return thresholds at the pooled cumulative log-odds, both sides together; half a vote keeps them finite."""
    outer = scale.levels[1:]
    above = np.array([np.count_nonzero(grades >= level) for level in outer]) + 0.5
    below = np.array([np.count_nonzero(grades <= -level) for level in outer]) + 0.5
    total = len(grades) + 1.0
    distance = -0.5 * (special.logit(above / total) + special.logit(below / total))
    start = np.zeros(cells.design.shape[1])
    start[0] = np.mean(0.5 * (special.logit(above / total) - special.logit(below / total)))
    start[-scale.free :] = np.maximum.accumulate(np.maximum(distance, 0.05)) + 0.01 * np.arange(scale.free)
    return start


def _refusal(lack: Lack, crossing: Crossing) -> StrengthMixed:
    def without(name: str) -> Estimate:
        return refused(_METHODS[name], lack.reason, **crossing.counts())

    return StrengthMixed(
        intercept=without("intercept"),
        position=without("position"),
        marginal_score=without("marginal_score"),
        separation=lack.separation,
        reason=lack.reason,
    )


def _result(fit: LaplaceFit, crossing: Crossing, left_out: tuple[str, ...], scale: _Scale) -> StrengthMixed:
    effects = random_effects(fit, crossing, left_out)
    common = {"reason": effects["reason"], "counts": crossing.counts()}
    df = between_df(crossing, left_out)
    has_sides = len(fit.beta) == 2 + scale.free
    sides = ([-0.5], [0.5]) if has_sides else ([],)
    # The innermost thresholds: direction alone, a tie half on either side; without ties both are the one at 0.
    middle = scale.threshold_rows()[scale.free - 1 : scale.free + 1] if scale.has_ties else np.zeros((1, scale.free))
    rows = np.array([[1.0, *side, *row] for side in sides for row in middle])
    return StrengthMixed(
        intercept=coefficient(fit, 0, df=df, method=_METHODS["intercept"], **common),
        position=coefficient(fit, 1, df=None, method=_METHODS["position"], **common)
        if has_sides
        else refused(_METHODS["position"], ONE_SIDE, **crossing.counts()),
        marginal_score=rate_estimate(
            fit,
            rows,
            np.full(len(rows), 1.0 / len(rows)),
            marginal=True,
            null=0.5,
            df=df,
            method=_METHODS["marginal_score"],
            **common,
        ),
        thresholds=tuple(_threshold(fit, which, **common) for which in range(-scale.free, 0)),
        levels=scale.levels,
        log_likelihood=fit.log_likelihood,
        **effects,
    )


def _threshold(fit: LaplaceFit, which: int, *, reason: str | None, counts: Sizes) -> Estimate:
    value = float(fit.beta[which])
    # The two SDs stand behind the fixed effects in the covariance.
    place = len(fit.beta) + which
    se = math.sqrt(fit.settled_covariance[place, place])
    return Estimate(method=_THRESHOLD, estimate=value, ci95=log_interval(value, se), se=se, reason=reason, **counts)
