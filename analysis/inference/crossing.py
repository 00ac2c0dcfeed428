"""Raters crossed with pairs: compact indices, rater-averaged weights, two-way cluster variance."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count

import numpy as np

from analysis.inference.estimate import Sizes
from analysis.votes.table import Comparison

__all__ = [
    "CrossedVariance",
    "Crossing",
    "cluster_variance",
    "crossed_variance",
    "crossing_from",
    "crossing_of",
    "distinct",
    "distinct_per_group",
    "group_index",
    "label_index",
    "rater_averaged_weights",
    "site_lack",
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
    seen = _seen(codes)
    present = np.flatnonzero(seen)
    if len(present) == len(seen):
        return np.asarray(codes, dtype=np.int64), present
    # Codes may be many times as many as rows: a narrow table, whose counts gaps keep below its length.
    place = np.cumsum(seen, dtype=np.min_scalar_type(-len(seen)))
    return place[codes].astype(np.int64) - 1, present


def distinct(codes: np.ndarray) -> int:
    """Return how many different non-negative codes there are, in linear time."""
    return int(np.count_nonzero(_seen(codes)))


def _seen(codes: np.ndarray) -> np.ndarray:
    """Return for each code up to the largest whether it occurs."""
    seen = np.zeros(int(codes.max()) + 1 if len(codes) else 0, dtype=bool)
    seen[codes] = True
    return seen


def distinct_per_group(group: np.ndarray, code: np.ndarray, *, groups: int, values: int) -> np.ndarray:
    """Return how many different codes stand in each group, (groups,) int64; codes are 0..values-1."""
    key = group * max(values, 1) + code
    if groups * values > _FLAGGED_CELLS:
        return np.bincount(np.unique(key) // max(values, 1), minlength=groups)
    seen = np.zeros((groups, values), dtype=bool)
    seen.ravel()[key] = True
    return np.count_nonzero(seen, axis=1)


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
    # A dictionary over the votes and a sort over the few names beat sorting a long column of text.
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
    site : (N,) int64 or None
        Index 0..n_sites-1 of the site of each vote's rater, where raters are grouped in two sites or more: sites are
        then the sampled units, since raters of one site may answer alike.
    n_sites : int
    """

    rater: np.ndarray
    pair: np.ndarray
    n_raters: int
    n_pairs: int
    site: np.ndarray | None = None
    n_sites: int = 0

    def __len__(self) -> int:
        return len(self.rater)

    @property
    def unit(self) -> np.ndarray:
        """Index of the sampled unit of people behind each vote, (N,) int64: its site where there are any, or rater."""
        return self.rater if self.site is None else self.site

    @property
    def n_units(self) -> int:
        return self.n_raters if self.site is None else self.n_sites

    @property
    def unit_name(self) -> str:
        return "rater" if self.site is None else "site"

    @property
    def df(self) -> int:
        """min(units of people, pairs) - 1: the degrees of freedom of what both samples decide."""
        return min(self.n_units, self.n_pairs) - 1

    def unit_of_rater(self) -> np.ndarray:
        """Return the unit of each rater, (n_raters,) int64."""
        found = np.zeros(self.n_raters, dtype=np.int64)
        found[self.rater] = self.unit
        return found

    def few_units(self) -> str | None:
        """Return what there is only one of, in words, or None: clustering two ways needs two of each."""
        if self.n_units < 2:
            return f"only {self.n_units} {self.unit_name}"
        return f"only {self.n_pairs} pair" if self.n_pairs < 2 else None

    def counts(self) -> Sizes:
        """Return the three sizes under the names that results carry."""
        return {"n_raters": self.n_raters, "n_pairs": self.n_pairs, "n_votes": len(self)}

    def cells(self) -> np.ndarray:
        """Return the index 0..C-1 of each vote's rater x pair cell, (N,) int64."""
        return group_index(_packed(self.rater * self.n_pairs + self.pair))[0]

    def filled_unit_cells(self) -> int:
        """Return how many unit x pair cells hold a vote: as many as there are votes, where no cell holds two."""
        return distinct(self.unit_cell_keys())

    def unit_cell_keys(self) -> np.ndarray:
        """Return a code of each vote's unit x pair cell, of which a table of flags stays small."""
        key = self.unit * self.n_pairs + self.pair
        # A table of flags would outgrow memory; sorting takes longer and no more room than the votes.
        return key if self.n_units * self.n_pairs <= _FLAGGED_CELLS else np.unique(key, return_inverse=True)[1]

    def unit_cells(self) -> np.ndarray:
        """Return the index 0..C-1 of each vote's unit x pair cell, (N,) int64."""
        return group_index(_packed(self.unit * self.n_pairs + self.pair))[0]


def crossing_of(comparison: Comparison) -> Crossing:
    """Return the crossing of a comparison's raters (within their sites, if votes name any) and pairs."""
    return crossing_from(comparison.rater, comparison.pair, comparison.extra.get("site"))


def crossing_from(rater_codes: np.ndarray, pair_codes: np.ndarray, site: np.ndarray | None = None) -> Crossing:
    """Return the crossing of codes with gaps; one site (or none) is no sample of sites and is left out.

    Parameters
    ----------
    rater_codes, pair_codes : (N,) int
    site : (N,) int, str or object array, or None
        Site of each vote's rater; a rater without one (empty text) stands alone.
    """
    rater, raters = group_index(rater_codes)
    pair, pairs = group_index(pair_codes)
    sites, n_sites = None, 0
    if site is not None and len(site):
        index, names = label_index(site)
        # A rater without a site is a site of their own: nothing ties them to another rater.
        if len(names) and names[0] == "":
            index = np.where(index == 0, len(names) + rater, index)
        index, present = group_index(index)
        # One site is no sample of sites; raters are then the units.
        if len(present) > 1:
            sites, n_sites = index, len(present)
    return Crossing(rater=rater, pair=pair, n_raters=len(raters), n_pairs=len(pairs), site=sites, n_sites=n_sites)


def site_lack(crossing: Crossing) -> str | None:
    """Return why a model without an effect of the site has no interval for these raters, or None."""
    if crossing.site is None:
        return None
    return (
        f"raters are grouped in {crossing.n_sites} sites, whose raters may answer alike, and this method has no effect "
        "of the site; the crossed two-way interval takes sites as the sampled units"
    )


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
    """The three one-way cluster variances of a linear statistic, each with its G / (G - 1) correction.

    ``rater`` and ``cell`` are those of the sampled units of people: of sites, where raters are grouped in them.
    """

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
        rater=cluster_variance(influence, crossing.unit, crossing.n_units),
        pair=cluster_variance(influence, crossing.pair, crossing.n_pairs),
        cell=_cell_variance(influence, crossing),
    )


def sum_of_squares(values: np.ndarray) -> float:
    """Return the sum of squares in an order of addition that, unlike a dot product's, no number of threads changes."""
    return float(np.sum(np.square(values)))


def cluster_variance(influence: np.ndarray, group: np.ndarray, groups: int) -> float:
    """Return the one-way cluster variance of a statistic, with its correction G / (G - 1); two groups at least."""
    sums = np.bincount(group, weights=influence, minlength=groups)
    # The usual small-sample factor; without it few clusters make errors that are too small.
    return sum_of_squares(sums) * groups / (groups - 1)


def _cell_variance(influence: np.ndarray, crossing: Crossing) -> float:
    key = crossing.unit_cell_keys()
    occupied = distinct(key)
    sums = influence
    # One vote a cell is the common design: its sums are the influences themselves.
    if occupied < len(influence):
        sums = np.bincount(_packed(key), weights=influence)
    return sum_of_squares(sums) * occupied / (occupied - 1)


def _packed(key: np.ndarray) -> np.ndarray:
    """The keys themselves where a table of them is small beside the votes, else their ranks."""
    return key if key.max() < _CELLS_PER_VOTE * len(key) else np.unique(key, return_inverse=True)[1]
