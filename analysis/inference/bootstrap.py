"""Bootstraps: raters and pairs drawn apart for a preference rate, units drawn for a descriptive statistic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from scipy import sparse

from analysis.inference.crossing import Crossing, crossing_of
from analysis.inference.estimate import Estimate, Sizes, refused
from analysis.inference.intervals import LEVEL, clamped_p, few_units_warning, joined
from analysis.votes.table import Comparison

__all__ = ["percentile_estimate", "product_bootstrap", "resample_counts", "unit_bootstrap"]

# Numbers held per block of replicates; 8 bytes each, and about four arrays of a block live at once.
_BLOCK = 2_000_000
# Rater x pair tables up to this many cells, no sparser than one vote in 16 cells, are multiplied as dense matrices.
_DENSE_CELLS, _DENSE_CELLS_PER_VOTE = 20_000_000, 16
# float32 holds integers up to 2^24 exactly, so sums of counts below it do not depend on the order of addition.
_EXACT_IN_FLOAT32 = 2**24

# Rows: raters; columns: pairs. Dense where that is small.
CellTable: TypeAlias = "np.ndarray | sparse.csr_array[np.float32] | sparse.csr_array[np.float64]"


def resample_counts(rng: np.random.Generator, units: int, replicates: int) -> np.ndarray:
    """Return how often each unit is drawn in each replicate: multinomial counts, (units, replicates) int64."""
    drawn = rng.integers(units, size=(replicates, units))
    # A replicate's counts lie side by side, so that counting them stays in the processor's cache.
    drawn += units * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * units).reshape(replicates, units).T


def _blocks(repetitions: int, units: int) -> Iterator[int]:
    size = max(1, _BLOCK // max(units, 1))
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def product_bootstrap(comparison: Comparison, *, seed: int = 0, repetitions: int = 2000) -> Estimate:
    """Return the rater-averaged preference rate with the percentile interval of the product (pigeonhole) bootstrap.

    Raters and pairs are drawn apart with replacement; a vote weighs the product of its rater's and its pair's counts.
    Mildly conservative: it overcovers on sparse and on homogeneous designs, so it checks the headline, it is not it.

    Parameters
    ----------
    comparison : Comparison
    seed : int
        The same seed gives the same interval, in any order of the votes.
    repetitions : int
        At least 100.

    References
    ----------
    McCullagh, Bernoulli 6 (2000); Owen and Eckles, Annals of Applied Statistics 6 (2012).
    """
    if repetitions < 100:
        raise ValueError(f"repetitions is {repetitions}; the percentile interval needs at least 100")
    method = (
        f"rater-averaged preference rate, ties split, product bootstrap of raters and pairs "
        f"({repetitions} repetitions, seed {seed}, percentile interval)"
    )
    crossing = crossing_of(comparison)
    # Refused and not raised: an empty comparison belongs in a report as well.
    if not len(comparison):
        return refused(method, "no votes", **crossing.counts())
    load = np.bincount(crossing.rater, minlength=crossing.n_raters)
    points = np.bincount(crossing.rater, weights=comparison.score, minlength=crossing.n_raters)
    estimate = float((points / load).mean())
    if crossing.few_units():
        reason = "no interval: resampling raters and pairs needs at least 2 of each"
        return Estimate(method=method, estimate=estimate, reason=reason, **crossing.counts())
    replicates = _replicate_rates(comparison, crossing, 1.0 / load, np.random.default_rng(seed), repetitions)
    return percentile_estimate(
        estimate,
        replicates,
        method=method,
        null=0.5,
        reason=few_units_warning(crossing),
        counts=crossing.counts(),
    )


def _replicate_rates(
    comparison: Comparison, crossing: Crossing, weight: np.ndarray, rng: np.random.Generator, repetitions: int
) -> np.ndarray:
    """Bootstrap rates, NaN where the resample holds no vote. Votes and points (2 s) enter as exact integer tables."""
    votes, points = _cell_tables(comparison, crossing)
    unit_of_rater = crossing.unit_of_rater()
    rates = []
    for size in _blocks(repetitions, crossing.n_raters + crossing.n_pairs):
        drawn_pairs = resample_counts(rng, crossing.n_pairs, size).astype(votes.dtype)
        # Sites are drawn whole where there are any: their raters come along together.
        drawn_raters = resample_counts(rng, crossing.n_units, size)[unit_of_rater] * weight[:, None]
        total = np.einsum("rb,rb->b", drawn_raters, votes @ drawn_pairs)
        won = np.einsum("rb,rb->b", drawn_raters, points @ drawn_pairs)
        # A resample may hold no cell with a vote; its NaN is counted and told.
        with np.errstate(invalid="ignore"):
            rates.append(0.5 * won / total)
    return np.concatenate(rates)


def _cell_tables(comparison: Comparison, crossing: Crossing) -> tuple[CellTable, CellTable]:
    shape = (crossing.n_raters, crossing.n_pairs)
    # A unit is drawn 64 times practically never: sums stay in what float32 holds exactly, at half the memory.
    largest = 64 * 2 * int(np.bincount(crossing.rater).max())
    kind: type[np.float32 | np.float64] = np.float32 if largest < _EXACT_IN_FLOAT32 else np.float64
    cells = shape[0] * shape[1]
    if cells <= min(_DENSE_CELLS, _DENSE_CELLS_PER_VOTE * len(crossing)):
        key = crossing.rater * shape[1] + crossing.pair
        votes = np.bincount(key, minlength=cells).reshape(shape)
        points = np.bincount(key, weights=2 * comparison.score, minlength=cells).reshape(shape)
        return votes.astype(kind), points.astype(kind)
    place = (crossing.rater, crossing.pair)
    ones = np.ones(len(crossing), dtype=kind)
    points = (2 * comparison.score).astype(kind)
    return sparse.coo_array((ones, place), shape=shape).tocsr(), sparse.coo_array((points, place), shape=shape).tocsr()


def unit_bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    per_unit: np.ndarray,
    *,
    seed: int = 0,
    repetitions: int = 1000,
) -> np.ndarray:
    """Return bootstrap replicates of a statistic of sums over units, drawing the units with replacement.

    Parameters
    ----------
    statistic : callable
        Maps sums over units, (B, K) float64, to B values; NaN where it is undefined.
    per_unit : (U, K) float64
        What each unit adds to the sums.

    Returns
    -------
    (repetitions,) float64
    """
    rng = np.random.default_rng(seed)
    per_unit = _on_exact_grid(per_unit)
    replicates = []
    for size in _blocks(repetitions, len(per_unit)):
        drawn = resample_counts(rng, len(per_unit), size).astype(np.float64)
        replicates.append(statistic(drawn.T @ per_unit))
    return np.concatenate(replicates)


def _on_exact_grid(per_unit: np.ndarray) -> np.ndarray:
    """Round each column to multiples of a power of two so coarse that sums over resampled units are exact.

    U units add to at most U max|x|; on a grid of 2^-52 of that, every partial sum is a double, and the result does not
    depend on the order of addition, that is on the number of threads. The rounding is about 1e-16 U max|x|.
    """
    # The largest sum that a resample can reach; 52 bits below it are left for the grid.
    bound = len(per_unit) * np.abs(per_unit).max(axis=0)
    step = np.exp2(np.ceil(np.log2(np.where(bound > 0, bound, 1.0))) - 52)
    return np.round(per_unit / step) * step


def percentile_estimate(
    estimate: float,
    replicates: np.ndarray,
    *,
    method: str,
    null: float | None = None,
    reason: str | None = None,
    counts: Sizes | None = None,
) -> Estimate:
    """Return the percentile interval of bootstrap replicates; undefined ones (NaN) are left out, counted and reported.

    Parameters
    ----------
    null : float or None
        Value that the two-sided p-value is against; None gives no p-value. The smallest p is 2 / (repetitions + 1).
    """
    counts = counts or Sizes()
    defined = replicates[np.isfinite(replicates)]
    lost = len(replicates) - len(defined)
    remark = f"{lost} of {len(replicates)} resamples left the quantity undefined" if lost else None
    # Percentiles of the minority that happens to be defined would describe other data.
    if len(defined) < max(2, len(replicates) // 2):
        reason = joined("no interval: most resamples leave the quantity undefined", remark, reason)
        return Estimate(method=method, estimate=estimate, reason=reason, **counts)
    # The percentile interval: it stays inside the range of the statistic.
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if not high - low > 1e-12:
        reason = joined("no interval: every resample gives the same value", remark, reason)
        return Estimate(method=method, estimate=estimate, reason=reason, **counts)
    return Estimate(
        method=method,
        estimate=estimate,
        ci95=(low, high),
        se=float(defined.std(ddof=1)),
        p_value=None if null is None else _tail_p(defined, null),
        reason=joined(remark, reason),
        **counts,
    )


def _tail_p(replicates: np.ndarray, null: float) -> float:
    below, above = np.count_nonzero(replicates <= null), np.count_nonzero(replicates >= null)
    # One more replicate than drawn: a bootstrap can never give p = 0 (Davison and Hinkley 1997, chapter 4).
    return clamped_p(2 * (min(below, above) + 1) / (len(replicates) + 1))
