"""Where the climb to the maximum of a crossed logit model starts: pooled effects and SDs by moments."""

from __future__ import annotations

import numpy as np
from scipy import special

from analysis.regression.cells import BinomialCells
from analysis.regression.laplace import Term, term_curvature

__all__ = ["moment_sds", "start_values"]

_NEWTON_ITERATIONS = 40
# (16 sqrt(3) / (15 pi))^2, by which a logit averaged over normal effects is flatter (Zeger, Liang and Albert 1988).
_ATTENUATION = 0.3458
# Far from where that approximation holds a start may be off by this factor at most.
_MOST_ATTENUATED = 4.0


def moment_sds(cells: BinomialCells, beta: np.ndarray) -> np.ndarray:
    """Return starting SDs for raters and pairs, (2,), from the covariance of two votes that share a level.

    To first order that covariance is sd^2 times the squared binomial variance; the result is kept in [0.3, 2].
    """
    mean = 1.0 / (1.0 + np.exp(-cells.design @ beta))
    residual = cells.successes - cells.trials * mean
    square = cells.successes * (1.0 - 2.0 * mean) + cells.trials * mean**2
    variance = float(cells.trials @ (mean * (1.0 - mean)) / cells.trials.sum())
    found = []
    for levels in (cells.rater, cells.pair):
        load = np.bincount(levels, weights=cells.trials)
        shared = np.square(np.bincount(levels, weights=residual)).sum() - square.sum()
        found.append(shared / max(float((load * (load - 1.0)).sum()), 1.0) / variance**2)
    # SDs of 0.3 to 2: a start at 0 would be stuck there by symmetry, and a wild one lies far out.
    return np.sqrt(np.clip(found, 0.09, 4.0))


def start_values(cells: BinomialCells, beta: np.ndarray, free: np.ndarray, *, term: Term | None = None) -> np.ndarray:
    """Return a start close to the maximum, (k + 2,): pooled fixed effects and moment SDs, both freed of attenuation.

    Parameters
    ----------
    cells : BinomialCells
    beta : (k,) float64
        Where the pooled fit starts; inside the domain of the term.
    free : (k + 2,) bool
        SDs that are not free start, and stay, at 0.
    term : callable, optional
        As in :class:`LaplaceLikelihood`.
    """
    beta = _pooled(cells, beta, term)
    sds = np.where(free[-2:], moment_sds(cells, beta), 0.0)
    # Both are those of the rate averaged over raters and pairs; within one of each the logit is steeper.
    flatter = 1.0 / max(1.0 - _ATTENUATION * float(sds @ sds), 1.0 / _MOST_ATTENUATED)
    return np.concatenate((beta, sds)) * flatter**0.5


def _pooled(cells: BinomialCells, beta: np.ndarray, term: Term | None) -> np.ndarray:
    """Newton steps to the fixed effects without random ones; a step that does not climb ends them."""
    best, value = beta, -np.inf
    for _ in range(_NEWTON_ITERATIONS):
        eta = cells.design @ beta
        mean = special.expit(eta)
        extra, slope = term(beta) if term else (0.0, np.zeros(len(beta)))
        reached = float(cells.successes @ eta - cells.trials @ np.logaddexp(0.0, eta)) + extra
        # A start need not be the maximum, only near it.
        if not np.isfinite(reached) or reached <= value + 1e-6 * abs(value):
            break
        best, value = beta, reached
        weighted = (cells.trials * mean * (1.0 - mean))[:, None] * cells.design
        gradient = cells.design.T @ (cells.successes - cells.trials * mean) + slope
        beta = beta + np.linalg.pinv(cells.design.T @ weighted + term_curvature(beta, term)) @ gradient
    return best
