"""Agreement between raters: alpha, kappa, AC1, majorities, split halves. All linear in the votes; none is a test.

With several arms a unit is a pair shown with the same two arms, and agreement by chance is that within each comparison:
taken over all arms it would be smaller, and fair coins would seem to agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from scipy import stats

from analysis.inference.bootstrap import percentile_estimate, unit_bootstrap
from analysis.inference.crossing import Crossing, crossing_of, distinct, group_index
from analysis.inference.estimate import Estimate, Sizes, refused
from analysis.inference.intervals import joined
from analysis.votes.table import LEFT, TIE, Comparison, VoteTable

__all__ = [
    "Agreement",
    "MajorityHistogram",
    "agreement",
    "fleiss_kappa",
    "gwet_ac1",
    "krippendorff_alpha",
    "majority_histogram",
    "majority_share",
    "split_half_correlation",
]

LOW_IS_NORMAL = (
    "low agreement beside a clear preference rate is normal in preference data: it measures taste, not error"
)
# Resamples of an interval over pairs; 0 asks for the estimate alone.
REPETITIONS = 1000
_TIES_DROPPED = "ties taken as missing"
_TIES_KEPT = "ties as a value of their own"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The agreement section of a report."""

    krippendorff_alpha: Estimate
    krippendorff_alpha_with_ties: Estimate
    fleiss_kappa: Estimate
    gwet_ac1: Estimate
    majority_share: Estimate
    split_half_correlation: Estimate
    note: str = LOW_IS_NORMAL

    def as_json(self) -> dict:
        """Return the section of ``report.json``."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: v.as_json() if isinstance(v, Estimate) else v for name, v in values.items()}


def agreement(table: VoteTable, comparison: Comparison, *, seed: int = 0) -> Agreement:
    """Return every measure; ``comparison`` says which arms the split-half correlation of pair rates is about."""
    return Agreement(
        krippendorff_alpha=krippendorff_alpha(table, seed=seed),
        krippendorff_alpha_with_ties=krippendorff_alpha(table, ties=True, seed=seed),
        fleiss_kappa=fleiss_kappa(table, seed=seed),
        gwet_ac1=gwet_ac1(table, seed=seed),
        majority_share=majority_share(table, seed=seed),
        split_half_correlation=split_half_correlation(comparison, seed=seed),
    )


@dataclass(frozen=True)
class _Ratings:
    """How often each unit got each value: (U, K) float64, no empty columns, each one value of one comparison.

    ``comparison`` is (K, D) float64: 1 where a column belongs to a comparison, else 0.
    """

    counts: np.ndarray
    comparison: np.ndarray
    sizes: Sizes

    @property
    def repeated(self) -> np.ndarray:
        """The units with two ratings or more."""
        return self.counts[self.counts.sum(axis=1) >= 2]


def _ratings(table: VoteTable, *, ties: bool) -> _Ratings:
    """Count the values of each unit; a rater's second look at a pair (``is_repeat``) is not another opinion."""
    keep = np.ones(len(table), dtype=bool) if ties else table.choice != TIE
    if "is_repeat" in table.extra:
        keep &= ~table.extra["is_repeat"].astype(bool)
    kept, arms = np.flatnonzero(keep), len(table.arms)
    left, right, choice, pair = (c[kept] for c in (table.arm_left, table.arm_right, table.choice, table.pair))
    comparison, shown = group_index(np.minimum(left, right) * arms + np.maximum(left, right))
    unit = _dense_index(pair * max(len(shown), 1) + comparison)
    # Of the two arms shown, which was chosen: 0, 1, or 2 for a tie.
    value = np.where(choice == TIE, 2, (choice == LEFT) != (left < right))
    units, columns = int(unit.max()) + 1 if len(unit) else 0, 3 * len(shown)
    counts = np.bincount((unit * len(shown) + comparison) * 3 + value, minlength=units * columns)
    counts = counts.reshape(units, columns)
    used = counts.any(axis=0)
    sizes = Sizes(n_raters=distinct(table.rater[kept]), n_pairs=distinct(pair), n_votes=len(kept))
    return _Ratings(counts[:, used].astype(np.float64), np.repeat(np.eye(len(shown)), 3, axis=0)[used], sizes)


def _dense_index(key: np.ndarray) -> np.ndarray:
    if len(key) and key.max() > 64 * len(key) + 1_000_000:
        return np.unique(key, return_inverse=True)[1]
    return group_index(key)[0]


def krippendorff_alpha(
    table: VoteTable, *, ties: bool = False, seed: int = 0, repetitions: int = REPETITIONS
) -> Estimate:
    """Return Krippendorff's alpha for nominal values (the arm chosen) over pairs, bootstrap interval over pairs.

    Parameters
    ----------
    table : VoteTable
    ties : bool
        Count a tie as a value of its own; otherwise it is a missing rating.
    seed, repetitions : int
        Of the bootstrap; 0 repetitions give the estimate alone.

    References
    ----------
    Krippendorff, Content Analysis (4th ed., 2019), chapter 12; for nominal data alpha = 1 - D_o / D_e.
    """
    method = f"Krippendorff's alpha, nominal, {_units_words(table, ties)}"
    return _coefficient(_ratings(table, ties=ties), _alpha_terms, _alpha, method, seed, repetitions)


def _units_words(table: VoteTable, ties: bool) -> str:
    chance = "" if len(table.arms) <= 2 else " (chance agreement within each comparison)"
    return f"units are pairs, values are arms{chance}, {_ties_words(ties)}"


def _ties_words(ties: bool) -> str:
    return _TIES_KEPT if ties else _TIES_DROPPED


def _alpha_terms(counts: np.ndarray) -> np.ndarray:
    """Per unit with two ratings: its disagreement and its value counts."""
    m = counts.sum(axis=1)
    disagreement = (m**2 - (counts**2).sum(axis=1)) / (m - 1)
    return np.column_stack([disagreement, counts])


def _alpha(sums: np.ndarray, comparison: np.ndarray) -> np.ndarray:
    """1 - n D_o / n D_e with n D_e = (n^2 - sum_k n_k^2) / (n - 1), added over comparisons; NaN with single values."""
    observed, by_value = sums[:, 0], sums[:, 1:]
    n = by_value @ comparison
    expected = ((n**2 - by_value**2 @ comparison) / np.maximum(n - 1.0, 1.0)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0.5, 1.0 - observed / expected, np.nan)


def fleiss_kappa(table: VoteTable, *, ties: bool = False, seed: int = 0, repetitions: int = REPETITIONS) -> Estimate:
    """Return Fleiss' kappa, in the form for unequal numbers of ratings per pair, bootstrap interval over pairs.

    References
    ----------
    Fleiss, Psychological Bulletin 76 (1971); Gwet, Handbook of Inter-Rater Reliability (4th ed., 2014).
    """
    method = f"Fleiss' kappa (Gwet's form for missing ratings), {_units_words(table, ties)}"
    return _coefficient(_ratings(table, ties=ties), _chance_terms, _kappa, method, seed, repetitions)


def gwet_ac1(table: VoteTable, *, ties: bool = False, seed: int = 0, repetitions: int = REPETITIONS) -> Estimate:
    """Return Gwet's AC1, bootstrap interval over pairs.

    References
    ----------
    Gwet, British Journal of Mathematical and Statistical Psychology 61 (2008).
    """
    method = f"Gwet's AC1, {_units_words(table, ties)}"
    return _coefficient(_ratings(table, ties=ties), _chance_terms, _ac1, method, seed, repetitions)


def _chance_terms(counts: np.ndarray) -> np.ndarray:
    """Per unit: pairwise agreement (0 if single), whether it has two ratings, and the shares of the values."""
    m = counts.sum(axis=1)
    several = m >= 2
    agreeing = np.where(several, (counts * (counts - 1)).sum(axis=1) / np.maximum(m * (m - 1), 1), 0.0)
    return np.column_stack([agreeing, several, counts / m[:, None]])


def _corrected(sums: np.ndarray, chance: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(p_a - p_e) / (1 - p_e), the chance agreement p_e averaged over the units of all comparisons."""
    with np.errstate(divide="ignore", invalid="ignore"):
        observed, expected = sums[:, 0] / sums[:, 1], (units * chance).sum(axis=1) / units.sum(axis=1)
        return np.where(1.0 - expected > 1e-12, (observed - expected) / (1.0 - expected), np.nan)


def _same(sums: np.ndarray, comparison: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per comparison the sum of the squared mean shares of its values, (B, D), and its units, (B, D)."""
    units = sums[:, 2:] @ comparison
    # A comparison without a unit in a resample has the weight 0, and must not make the others undefined.
    return (sums[:, 2:] ** 2 @ comparison) / np.maximum(units, 0.5) ** 2, units


def _kappa(sums: np.ndarray, comparison: np.ndarray) -> np.ndarray:
    return _corrected(sums, *_same(sums, comparison))


def _ac1(sums: np.ndarray, comparison: np.ndarray) -> np.ndarray:
    same, units = _same(sums, comparison)
    return _corrected(sums, (1.0 - same) / np.maximum(comparison.sum(axis=0) - 1.0, 1.0), units)


def _coefficient(
    ratings: _Ratings,
    terms: Callable[[np.ndarray], np.ndarray],
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    method: str,
    seed: int,
    repetitions: int,
) -> Estimate:
    refusal = _not_defined(ratings)
    if refusal:
        return refused(method, refusal, **ratings.sizes)
    per_unit = terms(ratings.counts if terms is _chance_terms else ratings.repeated)

    def pooled(sums: np.ndarray) -> np.ndarray:
        return statistic(sums, ratings.comparison)

    point = pooled(per_unit.sum(axis=0, keepdims=True))[0]
    if not np.isfinite(point):
        return refused(method, "only one value was used where raters meet: agreement is not defined", **ratings.sizes)
    if not repetitions:
        reason = joined("no interval was asked for", LOW_IS_NORMAL)
        return Estimate(method=method, estimate=float(point), reason=reason, **ratings.sizes)
    replicates = unit_bootstrap(pooled, per_unit, seed=seed, repetitions=repetitions)
    return percentile_estimate(
        float(point), replicates, method=f"{method}, bootstrap over pairs", reason=LOW_IS_NORMAL, counts=ratings.sizes
    )


def _not_defined(ratings: _Ratings) -> str | None:
    if not len(ratings.repeated):
        return "no pair has two votes, so agreement is not defined"
    if ratings.comparison.sum(axis=0).max() < 2:
        return "only one value was used: agreement beyond chance is not defined (not 1)"
    return None


def majority_share(table: VoteTable, *, ties: bool = False, seed: int = 0) -> Estimate:
    """Return the share of pairs (with two votes or more) on which one value has more than two thirds of the votes."""
    method = f"share of pairs with a majority above 2/3, {_ties_words(ties)}, bootstrap over pairs"
    ratings = _ratings(table, ties=ties)
    repeated = ratings.repeated
    if not len(repeated):
        return refused(method, "no pair has two votes", **ratings.sizes)
    # In whole votes (3 k > 2 m), so that a share of exactly two thirds is not above it by rounding.
    clear = (3 * repeated.max(axis=1) > 2 * repeated.sum(axis=1)).astype(np.float64)
    replicates = unit_bootstrap(lambda sums: sums[:, 0] / len(clear), clear[:, None], seed=seed)
    return percentile_estimate(float(clear.mean()), replicates, method=method, counts=ratings.sizes)


@dataclass(frozen=True)
class MajorityHistogram:
    """Pairs by the share of decisive votes for the arm: observed, and expected if every vote were a fair coin.

    Parameters
    ----------
    edges : (B + 1,) float64
        Bin edges over [0, 1]; the last bin is closed.
    observed, expected : (B,) float64
        Numbers of pairs; both sum to the pairs with a decisive vote.
    """

    edges: np.ndarray
    observed: np.ndarray
    expected: np.ndarray


def majority_histogram(comparison: Comparison, *, bins: int = 11) -> MajorityHistogram:
    """Return the histogram of pair rates and its binomial expectation given each pair's number of decisive votes."""
    pair, present = group_index(comparison.pair)
    wins = np.bincount(pair[comparison.score == 1.0], minlength=len(present))
    n = wins + np.bincount(pair[comparison.score == 0.0], minlength=len(present))
    wins, n = wins[n > 0], n[n > 0]
    edges = np.linspace(0.0, 1.0, bins + 1)
    observed = np.bincount(_bin_of(wins, n, bins), minlength=bins).astype(np.float64)
    expected = np.zeros(bins)
    for load, pairs in zip(*np.unique(n, return_counts=True), strict=True):
        outcomes = np.arange(load + 1)
        chance = stats.binom.pmf(outcomes, load, 0.5)
        expected += pairs * np.bincount(_bin_of(outcomes, load, bins), weights=chance, minlength=bins)
    return MajorityHistogram(edges=edges, observed=observed, expected=expected)


def _bin_of(wins: np.ndarray, n: np.ndarray | int, bins: int) -> np.ndarray:
    return np.minimum(wins * bins // n, bins - 1)


def split_half_correlation(comparison: Comparison, *, splits: int = 20, seed: int = 0) -> Estimate:
    """Return the correlation, over pairs, of the rates given by two random halves of the raters.

    Parameters
    ----------
    comparison : Comparison
    splits : int
        Random splits whose correlations are averaged (on Fisher's scale would change little at these values).
    seed : int
        Of the splits and of the bootstrap over pairs.
    """
    method = f"split-half correlation of pair rates, ties split, mean over {splits} random halves of the raters"
    crossing = crossing_of(comparison)
    if crossing.n_raters < 4 or crossing.n_pairs < 3:
        return refused(method, "two halves of two raters and three pairs are the least it takes", **crossing.counts())
    rng = np.random.default_rng(seed)
    per_pair = np.concatenate([_half_moments(comparison, crossing, rng) for _ in range(splits)], axis=1)
    point = _mean_correlation(per_pair.sum(axis=0, keepdims=True))[0]
    if not np.isfinite(point):
        return refused(method, "the pairs' rates do not vary within some half", **crossing.counts())
    full = 2 * point / (1 + point) if point > -0.5 else None
    remark = None if full is None else f"reliability of all raters together (Spearman-Brown): {full:.3f}"
    replicates = unit_bootstrap(_mean_correlation, per_pair, seed=seed, repetitions=500)
    return percentile_estimate(
        float(point),
        replicates,
        method=f"{method}, bootstrap over pairs",
        reason=joined(remark),
        counts=crossing.counts(),
    )


def _half_moments(comparison: Comparison, crossing: Crossing, rng: np.random.Generator) -> np.ndarray:
    """Per pair seen by both halves: 1, x, y, x^2, y^2, x y of the two half rates; zeros for the other pairs."""
    in_first = rng.permutation(crossing.n_raters) < crossing.n_raters // 2
    first = in_first[crossing.rater]
    rates, seen = [], np.ones(crossing.n_pairs, dtype=bool)
    for half in (first, ~first):
        load = np.bincount(crossing.pair[half], minlength=crossing.n_pairs)
        points = np.bincount(crossing.pair[half], weights=comparison.score[half], minlength=crossing.n_pairs)
        seen &= load > 0
        rates.append(points / np.maximum(load, 1) - 0.5)
    x, y = rates
    moments = np.column_stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    return moments * seen[:, None]


def _mean_correlation(sums: np.ndarray) -> np.ndarray:
    """Mean Pearson correlation over the splits, from (B, 6 * splits) sums; NaN where a half does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums.reshape(len(sums), -1, 6), 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread_x, spread_y = xx - x * x / n, yy - y * y / n
        correlation = (xy - x * y / n) / np.sqrt(spread_x * spread_y)
    correlation[(spread_x < 1e-9) | (spread_y < 1e-9)] = np.nan
    return correlation.mean(axis=1)
