"""Votes added up by rater, pair, side and threshold: what every crossed logit model is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import Crossing

__all__ = ["BinomialCells", "binomial_cells"]


@dataclass(frozen=True, kw_only=True)
class BinomialCells:
    """Votes added up by (rater, pair, design row): sufficient for every logit model here.

    Parameters
    ----------
    rater, pair : (C,) int64
        Levels 0..R-1 and 0..P-1, without gaps.
    n_raters, n_pairs : int
    design : (C, k) float64
        Rows of the fixed-effects design.
    successes, trials : (C,) float64
        ``0 <= successes <= trials``.
    """

    rater: np.ndarray
    pair: np.ndarray
    n_raters: int
    n_pairs: int
    design: np.ndarray
    successes: np.ndarray
    trials: np.ndarray


def binomial_cells(
    crossing: Crossing,
    *,
    vote: np.ndarray,
    side: np.ndarray,
    success: np.ndarray,
    threshold: np.ndarray | None = None,
    thresholds: np.ndarray | None = None,
) -> BinomialCells:
    """Add up trials by rater, pair, side and threshold; the design is an intercept, the side, and the threshold's row.

    Parameters
    ----------
    crossing : Crossing
        Of all votes.
    vote : (M,) int64
        The vote that each trial belongs to; in an ordinal model a vote is a trial at each threshold next to it.
    side : (N,) float64
        Of each vote, +-1/2. Where it is one throughout it cannot be told from the intercept, and is no column.
    success : (M,) float64
        1 or 0.
    threshold : (M,) int64, optional
        Which threshold each trial is at.
    thresholds : (T, m) float64, optional
        The columns of each threshold; without them there is one, and it has none.
    """
    rows = np.zeros((1, 0)) if thresholds is None else thresholds
    key = ((crossing.rater * crossing.n_pairs + crossing.pair)[vote] * 2 + (side[vote] > 0)) * len(rows)
    distinct, cell = np.unique(key if threshold is None else key + threshold, return_inverse=True)
    place, shown = distinct // (2 * len(rows)), distinct // len(rows) % 2 - 0.5
    columns = [np.ones((len(distinct), 1)), shown[:, None], rows[distinct % len(rows)]]
    if shown.min() == shown.max():
        del columns[1]
    return BinomialCells(
        rater=place // crossing.n_pairs,
        pair=place % crossing.n_pairs,
        n_raters=crossing.n_raters,
        n_pairs=crossing.n_pairs,
        design=np.hstack(columns),
        successes=np.bincount(cell, weights=success),
        trials=np.bincount(cell).astype(np.float64),
    )
