"""How two criteria hang together: over pairs, over raters, and within a rater beyond what the pairs explain (halo)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.inference.crossing import distinct
from analysis.inference.estimate import Estimate, Sizes, refused
from analysis.votes.table import Comparison

__all__ = ["Matched", "halo", "matched", "pair_correlation", "rater_correlation"]

# Groups that are left out in turn: enough for an error, few enough for a million votes.
GROUPS = 40
FEWEST = 4
_MARGIN = 1e-9


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What raters said of the same pair by two criteria.

    Parameters
    ----------
    rater, pair : (N,) int64
        Codes of each cell of rater and pair that both criteria have.
    one, other : (N,) float64
        The arm's mean score in the cell by either criterion.
    """

    rater: np.ndarray
    pair: np.ndarray
    one: np.ndarray
    other: np.ndarray

    def rows(self, keep: np.ndarray) -> Matched:
        return Matched(rater=self.rater[keep], pair=self.pair[keep], one=self.one[keep], other=self.other[keep])


def matched(one: Comparison, other: Comparison) -> Matched:
    """Return the cells that both criteria have; raters and pairs have the same codes in both.

    Example
    -------
    >>> votes = lambda *scores: Comparison(arm="a", baseline="b", score=np.array(scores), side=np.zeros(2),
    ...     rater=np.array([0, 1]), pair=np.array([0, 0]))
    >>> matched(votes(1.0, 0.0), votes(1.0, 0.5)).other.tolist()
    [1.0, 0.5]
    """
    keys, means = zip(*(_cells(votes) for votes in (one, other)), strict=True)
    shared, mine, theirs = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    return Matched(rater=shared >> 32, pair=shared & 0xFFFFFFFF, one=means[0][mine], other=means[1][theirs])


def _cells(votes: Comparison) -> tuple[np.ndarray, np.ndarray]:
    keys, index = np.unique((votes.rater << 32) | votes.pair, return_inverse=True)
    return keys, np.bincount(index, votes.score) / np.bincount(index)


def pair_correlation(cells: Matched) -> Estimate:
    """Return Pearson's correlation of two criteria over pairs: of the pairs' rates.

    Noise in the rates of few votes draws it towards 0.
    """
    return _correlation(cells, cells.pair, "correlation of the pairs' rates")


def rater_correlation(cells: Matched) -> Estimate:
    """Return Pearson's correlation of two criteria over raters: of the raters' rates."""
    return _correlation(cells, cells.rater, "correlation of the raters' rates")


def _correlation(cells: Matched, group: np.ndarray, name: str) -> Estimate:
    method = f"{name} (Pearson), interval by jackknife over raters and pairs on Fisher's scale"

    def statistic(kept: Matched, units: np.ndarray) -> float:
        index = np.unique(units, return_inverse=True)[1]
        size = np.bincount(index)
        return _pearson(np.bincount(index, kept.one) / size, np.bincount(index, kept.other) / size)

    units = distinct(group)
    if units < FEWEST:
        return refused(method, f"{units} of them have votes by both criteria; {FEWEST} are needed", **_sizes(cells))
    is_pair = group is cells.pair
    found = _jackknifed(cells, lambda kept: _fisher(statistic(kept, kept.pair if is_pair else kept.rater)))
    return _result(found, cells, method, back=math.tanh, lack="all rates by one criterion are the same")


def halo(cells: Matched) -> Estimate:
    """Return by how much a rater's two criteria agree beyond the pairs'.

    It is the share of raters' pairs for which both criteria say the same, less the share for which one rater's answer
    by the first is another's by the second on the same pair. 0: a rater's criteria agree only as far as pairs do.
    """
    method = "agreement of two criteria within a rater less that between raters on the same pair, jackknife interval"
    if distinct(cells.rater) < FEWEST or distinct(cells.pair) < FEWEST:
        return refused(method, f"fewer than {FEWEST} raters or pairs have votes by both criteria", **_sizes(cells))
    found = _jackknifed(cells, _halo)
    return _result(found, cells, method, back=float, lack="no pair has votes of two raters by both criteria")


def _halo(cells: Matched) -> float:
    pair = np.unique(cells.pair, return_inverse=True)[1]
    size = np.bincount(pair)
    several = size[pair] > 1
    if not several.any():
        return math.nan
    same = cells.one == cells.other
    # Codes of the mean scores of a cell: mostly 0, 1/2 and 1.
    codes = np.unique(np.concatenate([cells.one, cells.other]), return_inverse=True)[1]
    one, other = codes[: len(pair)], codes[len(pair) :]
    values = int(codes.max()) + 1
    counts = np.bincount(pair * values + other, minlength=values * len(size))
    between = (counts[pair * values + one] - same) / np.maximum(size[pair] - 1, 1)
    return float(np.mean(same[several]) - np.mean(between[several]))


def _pearson(one: np.ndarray, other: np.ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 1e-12 else math.nan


def _fisher(r: float) -> float:
    return float(np.arctanh(np.clip(r, -1 + _MARGIN, 1 - _MARGIN)))


def _jackknifed(cells: Matched, statistic: Callable[[Matched], float]) -> tuple[float, float, int]:
    """Return a statistic, its standard error over raters and pairs as two crossed samples, and its degrees of freedom.

    The variances over raters and over pairs are added, none subtracted: at worst the interval is too wide.
    """
    variance, df = 0.0, GROUPS - 1
    for units in (cells.rater, cells.pair):
        index = np.unique(units, return_inverse=True)[1]
        groups = min(GROUPS, int(index.max()) + 1)
        left_out = np.array([statistic(cells.rows(index % groups != group)) for group in range(groups)])
        variance += (groups - 1) / groups * float(np.sum((left_out - left_out.mean()) ** 2))
        df = min(df, groups - 1)
    return statistic(cells), math.sqrt(variance), df


def _result(
    found: tuple[float, float, int], cells: Matched, method: str, *, back: Callable[[float], float], lack: str
) -> Estimate:
    value, se, df = found
    if not math.isfinite(value):
        return refused(method, lack, **_sizes(cells))
    if not math.isfinite(se) or se < 1e-9:
        return Estimate(method=method, estimate=back(value), reason=f"no interval: {lack}", **_sizes(cells))
    width = float(special.stdtrit(df, 0.975)) * se
    return Estimate(
        method=method,
        estimate=back(value),
        ci95=(back(value - width), back(value + width)),
        df=float(df),
        **_sizes(cells),
    )


def _sizes(cells: Matched) -> Sizes:
    return {"n_raters": distinct(cells.rater), "n_pairs": distinct(cells.pair), "n_votes": 2 * len(cells.one)}
