"""Raters crossed with pairs: compact indices, rater-averaged weights, two-way cluster variance."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count

import numpy as np

from analysis.votes.table import Comparison

__all__ = [
    "CrossedVariance",
    "Crossing",
    "crossed_variance",
    "crossing_of",
    "distinct",
    "group_index",
    "label_index",
    "rater_averaged_weights",
    "sum_of_squares",
]

# A direct table of rater x pair cells is used up to this many cells per vote; sparser designs are sorted instead.
_CELLS_PER_VOTE = 16
# Up to this many cells, a flag (a byte) each tells which ones hold a vote.
_FLAGGED_CELLS = 200_000_000


def group_index(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber non-negative integer codes 0..G-1 in linear time.

    Parameters
    ----------
    codes : (N,) int
        Non-negative codes, gaps allowed.

    Returns
    -------
    index : (N,) int64
        Group number of each row, in the order of the codes.
    present : (G,) int64
        The code of each group.

    Examples
    --------
    >>> index, present = group_index(np.array([7, 2, 7]))
    >>> index.tolist(), present.tolist()
    ([1, 0, 1], [2, 7])
    """
    if len(codes) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    seen = np.bincount(codes) > 0
    present = np.flatnonzero(seen)
    if len(present) == len(seen):
        return np.asarray(codes, dtype=np.int64), present
    return (np.cumsum(seen) - 1)[codes], present


def distinct(codes: np.ndarray) -> int:
    """Return how many different non-negative codes there are, in linear time."""
    seen = np.zeros(int(codes.max()) + 1 if len(codes) else 0, dtype=bool)
    seen[codes] = True
    return int(np.count_nonzero(seen))


def label_index(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the labels of a text column; the groups stand in alphabetical order.

    Parameters
    ----------
    labels : (N,) str or object array of str

    Returns
    -------
    index : (N,) int64
    names : (G,) str array
    """
    first_seen: dict[str, int] = defaultdict(count().__next__)
    codes = np.fromiter(map(first_seen.__getitem__, labels.tolist()), dtype=np.int64, count=len(labels))
    names = np.array(list(first_seen), dtype=str)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return rank[codes] if len(codes) else codes, names[order]


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Which rater and which pair each vote belongs to.

    Parameters
    ----------
    rater, pair : (N,) int64
        Indices 0..n_raters-1 and 0..n_pairs-1, without gaps.
    n_raters, n_pairs : int
    """

    rater: np.ndarray
    pair: np.ndarray
    n_raters: int
    n_pairs: int

    def __len__(self) -> int:
        return len(self.rater)

    def counts(self) -> dict[str, int]:
        """Return the three sizes under the names that results carry."""
        return {"n_raters": self.n_raters, "n_pairs": self.n_pairs, "n_votes": len(self)}

    def cells(self) -> np.ndarray:
        """Return the index 0..C-1 of each vote's rater x pair cell, (N,) int64."""
        return group_index(_packed(self.rater * self.n_pairs + self.pair))[0]


def crossing_of(comparison: Comparison) -> Crossing:
    """Return the crossing of a comparison's raters and pairs."""
    rater, raters = group_index(comparison.rater)
    pair, pairs = group_index(comparison.pair)
    return Crossing(rater=rater, pair=pair, n_raters=len(raters), n_pairs=len(pairs))


def rater_averaged_weights(crossing: Crossing) -> np.ndarray:
    """Return the weights 1 / (R n_r) under which a weighted mean is the mean over raters of their own means.

    Returns
    -------
    (N,) float64
        Positive, summing to 1.
    """
    load = np.bincount(crossing.rater, minlength=crossing.n_raters)
    return 1.0 / (crossing.n_raters * load[crossing.rater])


@dataclass(frozen=True, kw_only=True)
class CrossedVariance:
    """The three one-way cluster variances of a linear statistic, each with its G / (G - 1) correction."""

    rater: float
    pair: float
    cell: float

    @property
    def total(self) -> float:
        """V = max(V_r + V_p - V_rp, V_r, V_p): the floor guards sparse or homogeneous tables."""
        return max(self.rater + self.pair - self.cell, self.rater, self.pair)


def crossed_variance(influence: np.ndarray, crossing: Crossing) -> CrossedVariance:
    """Return the two-way cluster variance of a statistic that is a sum of per-vote influences.

    Parameters
    ----------
    influence : (N,) float64
        Derivative of the statistic with respect to each vote's weight, times that weight; for a weighted mean
        ``w_i (s_i - mean) / sum(w)``.
    crossing : Crossing
        At least two raters and two pairs.

    References
    ----------
    Cameron, Gelbach and Miller, "Robust inference with multiway clustering", JBES 29 (2011); the factor
    G / (G - 1) is taken per component, as ``sandwich::vcovCL(type = "HC0", cadjust = TRUE)`` does.
    """
    return CrossedVariance(
        rater=_cluster_variance(influence, crossing.rater, crossing.n_raters),
        pair=_cluster_variance(influence, crossing.pair, crossing.n_pairs),
        cell=_cell_variance(influence, crossing),
    )


def sum_of_squares(values: np.ndarray) -> float:
    """Return the sum of squares in an order of addition that, unlike a dot product's, no number of threads changes."""
    return float(np.sum(np.square(values)))


def _cluster_variance(influence: np.ndarray, group: np.ndarray, groups: int) -> float:
    sums = np.bincount(group, weights=influence, minlength=groups)
    return sum_of_squares(sums) * groups / (groups - 1)


def _cell_variance(influence: np.ndarray, crossing: Crossing) -> float:
    key = crossing.rater * crossing.n_pairs + crossing.pair
    if crossing.n_raters * crossing.n_pairs > _FLAGGED_CELLS:
        key = np.unique(key, return_inverse=True)[1]
    occupied = distinct(key)
    sums = influence
    if occupied < len(influence):
        sums = np.bincount(_packed(key), weights=influence)
    return sum_of_squares(sums) * occupied / (occupied - 1)


def _packed(key: np.ndarray) -> np.ndarray:
    """The keys themselves where a table of them is small beside the votes, else their ranks."""
    return key if key.max() < _CELLS_PER_VOTE * len(key) else np.unique(key, return_inverse=True)[1]
