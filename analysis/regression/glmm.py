"""Crossed logistic mixed model of the decisive votes: logit P(arm) = a + b x + u_rater + v_pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.inference.blas_threads import on_one_blas_thread
from analysis.inference.crossing import Crossing, crossing_of, label_index
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import joined
from analysis.preference.rate import decisive_votes
from analysis.regression.cells import BinomialCells, binomial_cells
from analysis.regression.laplace import Term
from analysis.regression.laplace_fit import Failure, LaplaceFit, fit_laplace
from analysis.regression.laplace_start import start_values
from analysis.regression.logistic_rates import (
    CrossedModel,
    Lack,
    between_df,
    coefficient,
    crossing_lack,
    random_effects,
    rate_estimate,
    single_vote_factors,
)
from analysis.votes.table import Comparison

__all__ = ["ONE_SIDE", "Glmm", "divergence", "fit_crossed", "glmm", "glmm_withheld"]

ONE_SIDE = "the arm was shown on one side only, or nobody recorded sides: the position effect is not estimable"

# Five votes alike come from a fair coin in 6 % of classes, six in 3 %.
_FEW_ALIKE = 6
_NAMED_CLASSES = 5
_READ = ("class_label", "site")

_MODEL = (
    "crossed logistic mixed model of the decisive votes (random intercepts of raters and pairs, side shown), "
    "Laplace likelihood"
)
_METHODS = {
    "intercept": f"log-odds for the arm at balanced sides; {_MODEL}, Wald t with min(raters, pairs) - 1 df",
    "position": f"log-odds for the image on the left; {_MODEL}, Wald z from the full Hessian",
    "marginal_rate": (
        f"population-averaged rate, integrated over raters and pairs, mean over both sides; {_MODEL}, "
        "delta method on the logit scale, t with min(raters, pairs) - 1 df"
    ),
    "conditional_rate": (
        f"rate of the typical rater on the typical pair, mean over both sides; {_MODEL}, "
        "delta method on the logit scale, t with min(raters, pairs) - 1 df"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Glmm(CrossedModel):
    """The crossed logistic mixed model of one comparison.

    Parameters
    ----------
    intercept, position : Estimate
        On the logit scale: ``a`` for the arm at balanced sides, ``b`` for the arm on the left against on the right.
    marginal_rate, conditional_rate : Estimate
        Probabilities in (0, 1): averaged over the populations of raters and pairs, and at both random effects 0.
    sd_rater and those after it
        As in :class:`analysis.regression.logistic_rates.CrossedModel`.
    """

    intercept: Estimate
    position: Estimate
    marginal_rate: Estimate
    conditional_rate: Estimate

    def as_json(self) -> dict:
        """Return the mapping of ``report.json``."""
        return {
            "intercept": self.intercept.as_json(),
            "position": self.position.as_json(),
            **self.spread_as_json(),
            "marginal_rate": self.marginal_rate.as_json(),
            "conditional_rate": self.conditional_rate.as_json(),
            **self.remarks_as_json(),
        }


def glmm(comparison: Comparison) -> Glmm:
    """Fit the crossed logistic mixed model to the decisive votes of a comparison.

    Parameters
    ----------
    comparison : Comparison
        Ties are left out (``analysis.regression.ordinal`` models them).

    Returns
    -------
    Glmm
        Numbers, or refusals that name the reason: fewer than two raters or pairs, separation, a diverging SD. An SD
        that the votes cannot identify (one decisive vote per rater or per pair) is left out, and said.

    Notes
    -----
    The same likelihood as glmmTMB's and lme4's (``nAGQ = 1``). Standard errors come from the full Hessian in
    (a, b, SDs); where R takes the normal quantile, intercept and rates here take t with min(raters, pairs) - 1 df. The
    marginal rate is the mean over x = +-1/2 of E[expit(a + b x + s Z)], s^2 the sum of both variances.

    References
    ----------
    Breslow and Clayton, JASA 88 (1993); Bates et al., J. Stat. Software 67 (2015); Zeger, Liang and Albert,
    Biometrics 44 (1988).
    """
    decisive = decisive_votes(comparison.only(_READ))
    crossing = crossing_of(decisive)
    separation = _separation(decisive)
    lack = crossing_lack(crossing, "decisive votes") or separation
    if lack:
        # Votes too few for a model may be separated as well: that is said beside the first reason.
        return _refusal(lack, crossing, separation=separation)
    votes = np.arange(len(decisive))
    cells = binomial_cells(crossing, vote=votes, side=decisive.side, success=decisive.score)
    left_out = single_vote_factors(crossing)
    fit = fit_crossed(cells, left_out)
    if fit.failure or fit.covariance is None:
        return _refusal(divergence(fit, decisive, crossing), crossing)
    remark = _one_way_classes(decisive)
    return _result(fit, crossing, left_out=left_out, remark=remark)


def glmm_withheld(comparison: Comparison, reason: str) -> Glmm:
    """Return the model not fitted, with the reason."""
    return _refusal(Lack(reason), crossing_of(comparison))


def _one_way_classes(decisive: Comparison) -> str | None:
    """Name the classes whose votes all go one way: they bias nothing here, but class effects would be infinite."""
    labels = decisive.extra.get("class_label")
    if labels is None:
        return None
    index, names = label_index(labels)
    votes = np.bincount(index, minlength=len(names))
    wins = np.bincount(index, weights=decisive.score, minlength=len(names))
    is_one_way = (votes >= _FEW_ALIKE) & ((wins == 0) | (wins == votes))
    found = [str(name) for name in np.asarray(names)[is_one_way] if name != ""]
    if not found:
        return None
    listed = ", ".join(found[:_NAMED_CLASSES]) + (", ..." if len(found) > _NAMED_CLASSES else "")
    words = "class has" if len(found) == 1 else "classes have"
    return f"{len(found)} {words} all decisive votes one way ({listed}): an effect of class would have no estimate"


def _separation(decisive: Comparison) -> Lack | None:
    """A side on which every decisive vote goes one way sends a or b to infinity."""
    for shown, name in ((decisive.side > 0, "left"), (decisive.side < 0, "right")):
        scores = decisive.score[shown]
        if len(scores) and scores.min() == scores.max():
            winner = decisive.arm if scores[0] == 1.0 else decisive.baseline
            shown_so = f"with {decisive.arm} on the {name} all {len(scores)} decisive votes went to {winner}"
            return Lack(f"separation: {shown_so}, no finite estimate exists", is_separation=True)
    return None


@on_one_blas_thread
def fit_crossed(
    cells: BinomialCells, left_out: tuple[str, ...], *, beta: np.ndarray | None = None, term: Term | None = None
) -> LaplaceFit:
    """Maximise the Laplace likelihood from a standard start, the SDs of some factors held at 0.

    Parameters
    ----------
    cells : BinomialCells
    left_out : tuple of str
        Of "rater", "pair".
    beta : (k,) float64, optional
        Start; by default the pooled log-odds and zeros.
    term : callable, optional
        As in ``analysis.regression.laplace``.
    """
    width = cells.design.shape[1]
    if beta is None:
        beta = np.zeros(width)
        beta[0] = special.logit(cells.successes.sum() / cells.trials.sum())
    free = np.ones(width + 2, dtype=bool)
    # An SD that the votes cannot identify is held at 0, for the likelihood is flat along it.
    free[-2:] = ["rater" not in left_out, "pair" not in left_out]
    return fit_laplace(cells, start_values(cells, beta, free, term=term), free=free, term=term)


def divergence(fit: LaplaceFit, comparison: Comparison, crossing: Crossing) -> Lack:
    """Return why a fit has no maximum: levels that all answer one way, or votes that say too little."""
    # Before the general words: levels that all answer alike are the cause that a reader can check.
    for name, codes in (("rater", crossing.rater), ("pair", crossing.pair)):
        mean = np.bincount(codes, weights=comparison.score) / np.bincount(codes)
        if np.all(comparison.score == mean[codes]):
            one_way = f"separation: every {name}'s votes go one way, the SD of {name}s has no finite estimate"
            return Lack(one_way, is_separation=True)
    if fit.failure is Failure.DIVERGES:
        return Lack("the SD of a random effect rises without end: the votes do not identify it")
    return Lack("the likelihood has no well-defined maximum on these votes (flat or indefinite Hessian)")


def _refusal(lack: Lack, crossing: Crossing, *, separation: Lack | None = None) -> Glmm:
    def without(name: str) -> Estimate:
        return refused(_METHODS[name], lack.reason, **crossing.counts())

    return Glmm(
        intercept=without("intercept"),
        position=without("position"),
        marginal_rate=without("marginal_rate"),
        conditional_rate=without("conditional_rate"),
        separation=(separation or lack).separation,
        reason=lack.reason,
    )


def _result(fit: LaplaceFit, crossing: Crossing, *, left_out: tuple[str, ...], remark: str | None) -> Glmm:
    has_sides = len(fit.beta) == 2
    effects = random_effects(fit, crossing, left_out)
    effects["reason"] = joined(effects["reason"], remark)
    rows = np.array([[1.0, -0.5], [1.0, 0.5]]) if has_sides else np.ones((1, 1))
    weights = np.full(len(rows), 1.0 / len(rows))
    common = {"reason": effects["reason"], "counts": crossing.counts()}
    df = between_df(crossing, left_out)

    def rate(name: str, *, marginal: bool) -> Estimate:
        return rate_estimate(fit, rows, weights, marginal=marginal, null=0.5, df=df, method=_METHODS[name], **common)

    # Sides vary within raters and pairs, so the position rests on votes and not on min(raters, pairs).
    position = (
        coefficient(fit, 1, df=None, method=_METHODS["position"], **common)
        if has_sides
        else refused(_METHODS["position"], ONE_SIDE, **crossing.counts())
    )
    return Glmm(
        intercept=coefficient(fit, 0, df=df, method=_METHODS["intercept"], **common),
        position=position,
        marginal_rate=rate("marginal_rate", marginal=True),
        conditional_rate=rate("conditional_rate", marginal=False),
        log_likelihood=fit.log_likelihood,
        **effects,
    )
