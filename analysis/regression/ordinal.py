"""Cumulative logit of baseline < tie < arm with crossed random intercepts: ties as an ordered answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy import special

from analysis.inference.crossing import Crossing, crossing_of, group_index
from analysis.inference.estimate import Estimate, Sizes, refused
from analysis.inference.intervals import joined
from analysis.inference.separation import has_recession_direction
from analysis.regression.cells import BinomialCells, binomial_cells
from analysis.regression.glmm import ONE_SIDE, Glmm, divergence, fit_crossed, glmm
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

__all__ = ["OrdinalMixed", "ordinal_mixed", "ordinal_withheld"]

_MODEL = (
    "cumulative logit of baseline < tie < arm with crossed random intercepts of raters and pairs and the side shown "
    "(Rao-Kupper ties), Laplace likelihood, t with min(raters, pairs) - 1 df but for side and half-width"
)
_WORDS = {
    "intercept": "log-odds for the arm at balanced sides, midway between the two thresholds",
    "half_width": "half the distance of the two thresholds, log-odds; interval on the log scale",
    "position": "log-odds for the image on the left",
    "marginal_score": "P(arm) + P(tie) / 2, integrated over raters and pairs, mean over both sides",
    "win_rate": "P(arm), integrated over raters and pairs, mean over both sides",
    "tie_rate": "P(tie), integrated over raters and pairs, mean over both sides",
    "loss_rate": "P(baseline), integrated over raters and pairs, mean over both sides",
}
_METHODS = {name: f"{words}; {_MODEL}" for name, words in _WORDS.items()}
# The order of the keys in report.json, as readers have it: a report made again keeps its bytes.
_ORDER = (
    *("sd_rater", "sd_pair", "share_rater", "share_pair", "log_likelihood", "separation", "reason"),
    *("sd_rater_ci95", "sd_pair_ci95", "singular"),
)
# The two thresholds as pseudo-trials: a win is a success at eta - delta, a loss a failure at eta + delta, a tie both.
_LOWER, _UPPER = -1.0, 1.0


@dataclass(frozen=True, kw_only=True)
class OrdinalMixed(CrossedModel):
    """The crossed cumulative logit model of one comparison.

    Parameters
    ----------
    intercept, half_width, position : Estimate
        ``P(arm) = F(a + b x + u + v - delta)``, ``P(baseline) = F(-a - b x - u - v - delta)``; e^delta is Rao and
        Kupper's theta.
    marginal_score, win_rate, tie_rate, loss_rate : Estimate
        Probabilities averaged over the populations of raters and pairs and over both sides.
    sd_rater and those after it
        As in :class:`analysis.regression.logistic_rates.CrossedModel`; a vote is a trial with three outcomes.
    """

    intercept: Estimate
    half_width: Estimate
    position: Estimate
    marginal_score: Estimate
    win_rate: Estimate
    tie_rate: Estimate
    loss_rate: Estimate

    def as_json(self) -> dict[str, Any]:
        """Return the mapping of ``report.json``."""
        fields = self.spread_as_json() | self.remarks_as_json()
        return {name: getattr(self, name).as_json() for name in _METHODS} | {key: fields[key] for key in _ORDER}


def ordinal_mixed(comparison: Comparison) -> OrdinalMixed:
    """Fit the crossed cumulative logit model to all votes of a comparison, ties included.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    OrdinalMixed
        Without ties the model is :func:`analysis.regression.glmm.glmm`, and its numbers are given; without wins or
        without losses, under separation or with too few raters or pairs the numbers are refused with the reason.

    Notes
    -----
    With thresholds -delta and +delta, ``P(tie) = F(eta + delta) (1 - F(eta - delta)) (1 - e^(-2 delta))`` exactly, so
    the likelihood is a binomial one with the covariate -+1 for delta plus T log(1 - e^(-2 delta)): the machinery of the
    logistic mixed model serves unchanged.

    References
    ----------
    Rao and Kupper, JASA 62 (1967); McCullagh, JRSS B 42 (1980); the same likelihood as ``ordinal::clmm``.
    """
    crossing = crossing_of(comparison)
    wins, losses = int(np.sum(comparison.score == 1.0)), int(np.sum(comparison.score == 0.0))
    ties = len(comparison) - wins - losses
    lack = crossing_lack(crossing, "votes")
    # Without ties the two thresholds fall together, where their likelihood has no maximum inside.
    if not lack and not ties:
        return _collapsed(glmm(comparison), crossing)
    if not lack and not (wins and losses):
        counts = f"{wins} votes for {comparison.arm}, {losses} for {comparison.baseline}"
        lack = Lack(f"separation: {counts}; no finite thresholds exist", is_separation=True)
    if lack:
        return _refusal(lack, crossing)
    cells = _cells(comparison, crossing)
    if _is_separated(cells):
        one_end = "separation: with one side shown the answers reach one end of the scale only"
        return _refusal(Lack(one_end, is_separation=True), crossing)
    left_out = single_vote_factors(crossing)
    start = np.zeros(cells.design.shape[1])
    lower, upper = special.logit(wins / len(comparison)), special.logit(1.0 - losses / len(comparison))
    start[0], start[-1] = 0.5 * (lower + upper), 0.5 * (upper - lower)
    fit = fit_crossed(cells, left_out, beta=start, term=_TieTerm(ties))
    if fit.failure or fit.covariance is None:
        return _refusal(divergence(fit, comparison, crossing), crossing)
    return _result(fit, crossing, left_out)


@dataclass(frozen=True)
class _TieTerm:
    """T log(1 - e^(-2 delta)), delta the last fixed effect."""

    ties: int

    def __call__(self, beta: np.ndarray) -> tuple[float, np.ndarray]:
        gradient, delta = np.zeros(len(beta)), float(beta[-1])
        if delta <= 0.0:
            return -math.inf, gradient
        # expm1 keeps the digits where the thresholds lie close together.
        gradient[-1] = 2.0 * self.ties / math.expm1(2.0 * delta)
        return self.ties * math.log(-math.expm1(-2.0 * delta)), gradient


def _cells(comparison: Comparison, crossing: Crossing) -> BinomialCells:
    won, lost = comparison.score == 1.0, comparison.score == 0.0
    # A tie is a pseudo-trial at both thresholds; its coupling is what the extra term repairs.
    lower, upper = np.flatnonzero(~lost), np.flatnonzero(~won)
    return binomial_cells(
        crossing,
        vote=np.concatenate((lower, upper)),
        side=comparison.side,
        success=np.concatenate((won[lower], ~lost[upper])).astype(np.float64),
        threshold=np.repeat([0, 1], [len(lower), len(upper)]),
        thresholds=np.array([[_LOWER], [_UPPER]]),
    )


def _is_separated(cells: BinomialCells) -> bool:
    """Side and threshold take two values each, so that the signs of a design row tell which of four it is."""
    covariates = cells.design.shape[1] - 1
    group, present = group_index((cells.design[:, 1:] > 0) @ (1 << np.arange(covariates)))
    rows = np.array([cells.design[np.argmax(group == which)] for which in range(len(present))])
    wins = np.bincount(group, weights=cells.successes)
    losses = np.bincount(group, weights=cells.trials) - wins
    return has_recession_direction(np.stack((rows, np.zeros_like(rows)), axis=1), np.column_stack((wins, losses)))


def ordinal_withheld(comparison: Comparison, reason: str) -> OrdinalMixed:
    """Return the model not fitted, with the reason."""
    return _refusal(Lack(reason), crossing_of(comparison))


def _refusal(lack: Lack, crossing: Crossing) -> OrdinalMixed:
    def without(name: str) -> Estimate:
        return refused(_METHODS[name], lack.reason, **crossing.counts())

    return OrdinalMixed(
        intercept=without("intercept"),
        half_width=without("half_width"),
        position=without("position"),
        marginal_score=without("marginal_score"),
        win_rate=without("win_rate"),
        tie_rate=without("tie_rate"),
        loss_rate=without("loss_rate"),
        separation=lack.separation,
        reason=lack.reason,
    )


def _collapsed(fit: Glmm, crossing: Crossing) -> OrdinalMixed:
    """Without ties: the logistic model's numbers, half-width and tie rate 0 without errors."""
    note = "no ties: the model collapses to the logistic mixed model"
    shared = {field.name: getattr(fit, field.name) for field in fields(CrossedModel)}
    rate = fit.marginal_rate
    lost = refused(_METHODS["loss_rate"], note) if rate.estimate is None else _complement(rate, 1.0 - rate.estimate)
    return OrdinalMixed(
        intercept=fit.intercept.with_reason(note),
        half_width=Estimate(method=_METHODS["half_width"], estimate=0.0, reason=note, **crossing.counts()),
        position=fit.position.with_reason(note),
        marginal_score=rate.with_reason(note),
        win_rate=rate.with_reason(note),
        tie_rate=Estimate(method=_METHODS["tie_rate"], estimate=0.0, reason=note, **crossing.counts()),
        loss_rate=lost.with_reason(note),
        **(shared | {"reason": joined(fit.reason, note)}),
    )


def _complement(rate: Estimate, lost: float) -> Estimate:
    interval = None if rate.ci95 is None else (1.0 - rate.ci95[1], 1.0 - rate.ci95[0])
    return Estimate(
        method=_METHODS["loss_rate"],
        estimate=lost,
        ci95=interval,
        se=rate.se,
        p_value=rate.p_value,
        n_raters=rate.n_raters,
        n_pairs=rate.n_pairs,
        n_votes=rate.n_votes,
        reason=rate.reason,
    )


def _result(fit: LaplaceFit, crossing: Crossing, left_out: tuple[str, ...]) -> OrdinalMixed:
    effects = random_effects(fit, crossing, left_out)
    common = {"reason": effects["reason"], "counts": crossing.counts()}
    df = between_df(crossing, left_out)
    sides = (-0.5, 0.5) if len(fit.beta) == 3 else (None,)
    rows = {end: _rows(sides, end) for end in (_LOWER, _UPPER)}
    both, share = np.vstack((rows[_LOWER], rows[_UPPER])), 1.0 / len(sides)
    rates = {
        "marginal_score": (both, np.full(len(both), 0.5 * share), 0.0, 0.5),
        "win_rate": (rows[_LOWER], np.full(len(sides), share), 0.0, None),
        "tie_rate": (both, np.repeat([-share, share], len(sides)), 0.0, None),
        "loss_rate": (rows[_UPPER], np.full(len(sides), -share), 1.0, None),
    }

    def rate(name: str) -> Estimate:
        design, weights, constant, null = rates[name]
        return rate_estimate(
            fit, design, weights, constant=constant, marginal=True, null=null, df=df, method=_METHODS[name], **common
        )

    has_sides = len(sides) == 2
    return OrdinalMixed(
        intercept=coefficient(fit, 0, df=df, method=_METHODS["intercept"], **common),
        half_width=_half_width(fit, **common),
        position=coefficient(fit, 1, df=None, method=_METHODS["position"], **common)
        if has_sides
        else refused(_METHODS["position"], ONE_SIDE, **crossing.counts()),
        marginal_score=rate("marginal_score"),
        win_rate=rate("win_rate"),
        tie_rate=rate("tie_rate"),
        loss_rate=rate("loss_rate"),
        log_likelihood=fit.log_likelihood,
        **effects,
    )


def _rows(sides: tuple[float | None, ...], end: float) -> np.ndarray:
    return np.array([[1.0, end] if side is None else [1.0, side, end] for side in sides])


def _half_width(fit: LaplaceFit, *, reason: str | None, counts: Sizes) -> Estimate:
    """delta > 0 by definition: an interval on the log scale and no test."""
    which = len(fit.beta) - 1
    value, se = float(fit.beta[-1]), math.sqrt(fit.settled_covariance[which, which])
    ci95 = log_interval(value, se)
    return Estimate(method=_METHODS["half_width"], estimate=value, ci95=ci95, se=se, reason=reason, **counts)
