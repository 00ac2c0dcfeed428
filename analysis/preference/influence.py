"""How much a conclusion rests on few votes, raters or pairs: what removing them does to the headline.

References
----------
Broderick, Giordano and Meager, "An Automatic Finite-Sample Robustness Metric", arXiv 2011.14999: units are taken out
in the order of their influence. Here the headline is computed anew after each removal, so that the count given always
turns the conclusion; a smaller set of other units might as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import crossing_of, group_index, rater_averaged_weights
from analysis.inference.estimate import Estimate
from analysis.preference.rate import headline
from analysis.votes.table import Comparison

__all__ = ["Influence", "LeftOut", "Removal", "influence"]

UNITS = ("votes", "raters", "pairs")
# Beyond this share of the units nobody would call the conclusion fragile, and what is left is another study.
MOST_REMOVED = 0.5
# So many of the removed units are named.
MOST_NAMED = 20
_VOTES_AT_A_TIME = 250_000
# Of the span that is searched, as the authors of the method advise.
_TRACE = 0.2
# So many counts are looked at one by one.
_LOOKED_THROUGH = 12


@dataclass(frozen=True, kw_only=True)
class Removal:
    """How few units turn the conclusion.

    Parameters
    ----------
    unit : {"votes", "raters", "pairs"}
    count : int or None
        Units whose removal turns the conclusion; None where half of them do not.
    share : float or None
        Of all units.
    codes : tuple of int
        The first of them: rater or pair codes, or row numbers of votes.
    rate : float or None
        The headline's rate without them.
    """

    unit: str
    count: int | None
    share: float | None
    codes: tuple[int, ...]
    rate: float | None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The lowest and the highest rate when one rater, or one pair, is left out, and whose absence gives it."""

    unit: str
    low: float
    low_code: int
    high: float
    high_code: int


@dataclass(frozen=True, kw_only=True)
class Influence:
    """What few votes, raters or pairs do to the headline of one comparison.

    Parameters
    ----------
    conclusion : {"arm", "baseline", None}
        Which arm the headline's interval is for, if any.
    removals : tuple of Removal
        For votes, raters and pairs: what turns that conclusion (a decided one becomes undecided, an undecided one is
        decided for the arm it leans to).
    left_out : tuple of LeftOut
        For raters and pairs; empty with fewer than two of them.
    """

    conclusion: str | None
    removals: tuple[Removal, ...]
    left_out: tuple[LeftOut, ...]


def influence(comparison: Comparison) -> Influence:
    """Return how few votes, raters or pairs would turn the conclusion, and the extremes when one is left out.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Influence
        Without removals where the headline has no interval.

    Examples
    --------
    >>> from analysis.planning.simulation import Scenario, simulate_votes
    >>> votes = simulate_votes(Scenario(raters=20, pairs=30, preference=0.7)).comparison("robust", "vanilla")
    >>> result = influence(votes)
    >>> result.conclusion, [removal.unit for removal in result.removals]
    ('arm', ['votes', 'raters', 'pairs'])
    """
    # Each removal copies what is left: columns that the headline does not read would be copied every time.
    comparison = comparison.only(("site",))
    result = headline(comparison)
    left_out = tuple(_left_out(comparison, unit, adjusted=result.is_position_adjusted) for unit in _several(comparison))
    if result.ci95 is None:
        return Influence(conclusion=None, removals=(), left_out=left_out)
    conclusion = _conclusion(result)
    removals = tuple(_removal(comparison, unit, result, conclusion) for unit in UNITS)
    return Influence(conclusion=conclusion, removals=removals, left_out=left_out)


def _conclusion(result: Estimate) -> str | None:
    if result.ci95 is None:
        return None
    low, high = result.ci95
    return "arm" if low > 0.5 else "baseline" if high < 0.5 else None


def _several(comparison: Comparison) -> list[str]:
    crossing = crossing_of(comparison)
    return [unit for unit, n in (("raters", crossing.n_raters), ("pairs", crossing.n_pairs)) if n > 1]


def _removal(comparison: Comparison, unit: str, result: Estimate, conclusion: str | None) -> Removal:
    codes, present = _units(comparison, unit)
    weights = rater_averaged_weights(crossing_of(comparison))
    rate, _, _ = result.t_terms()
    # The influence function, to first order: units are removed in its order, and the headline is computed anew.
    pull = np.bincount(codes, weights=weights * (comparison.score - rate), minlength=len(present))
    leans_to_arm = rate >= 0.5
    # A decided conclusion falls with the units that carry it; an undecided one is decided without those against it.
    towards = leans_to_arm if conclusion else not leans_to_arm
    order = np.argsort(-pull if towards else pull, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))

    def without(count: int) -> Estimate:
        return headline(comparison.rows(rank[codes] >= count))

    most = int(len(present) * MOST_REMOVED)
    found = _fewest(without, result, most)
    if found is None:
        return Removal(unit=unit, count=None, share=None, codes=(), rate=None)
    count, left = found
    # So few as can be looked at one by one.
    named = tuple(int(code) for code in present[order[: min(count, MOST_NAMED)]])
    return Removal(unit=unit, count=count, share=count / len(present), codes=named, rate=left.estimate)


def _units(comparison: Comparison, unit: str) -> tuple[np.ndarray, np.ndarray]:
    if unit == "votes":
        rows = np.arange(len(comparison), dtype=np.int64)
        return rows, rows
    return group_index(comparison.rater if unit == "raters" else comparison.pair)


def _fewest(without: Callable[[int], Estimate], whole: Estimate, most: int) -> tuple[int, Estimate] | None:
    """Return the smallest count whose removal turns the conclusion, and what is left then; None if ``most`` do not."""
    conclusion = _conclusion(whole)

    def stands(left: Estimate) -> bool:
        return left.ci95 is not None and _conclusion(left) == conclusion

    if most > _LOOKED_THROUGH:
        found = _end(without, stands, whole, most)
    else:
        # Of few units each changes the degrees of freedom: a conclusion may fall, and stand again with fewer.
        seen = ((count, without(count)) for count in range(1, most + 1))
        found = next(((count, left) for count, left in seen if not stands(left) and left.ci95 is not None), None)
    # Too little left for an interval turns nothing.
    return None if found is None or found[1].ci95 is None else found


def _end(
    without: Callable[[int], Estimate], stands: Callable[[Estimate], bool], whole: Estimate, most: int
) -> tuple[int, Estimate] | None:
    """Return the first count at which the conclusion does not stand, where it stands up to it and never again.

    Each look costs a headline, so the end is sought where the interval's border, which moves evenly, is expected to
    meet 1/2: by the method of interpolate, truncate, project, which takes at most one look more than bisection.

    References
    ----------
    Oliveira and Takahashi, ACM Transactions on Mathematical Software 47 (2020), 5.
    """
    low, high, left = 0, most, without(most)
    if stands(left):
        return None
    above, below = _lead(whole, whole), _lead(left, whole)
    looks = math.ceil(math.log2(most)) + 1
    while high - low > 1:
        looks -= 1
        middle = _looked_at(low, high, above, below, reach=2.0**looks - 0.5 * (high - low), trace=_TRACE / most)
        seen = without(middle)
        if stands(seen):
            low, above = middle, _lead(seen, whole)
        else:
            high, left, below = middle, seen, _lead(seen, whole)
    return high, left


def _lead(left: Estimate, whole: Estimate) -> float | None:
    """Return how far the border that decides is from turning the conclusion: positive while it stands, about 0 then."""
    if left.ci95 is None:
        return None
    low, high = left.ci95
    conclusion = _conclusion(whole)
    if conclusion is None:
        return 0.5 - low if whole.t_terms()[0] >= 0.5 else high - 0.5
    return low - 0.5 if conclusion == "arm" else 0.5 - high


def _looked_at(low: int, high: int, above: float | None, below: float | None, *, reach: float, trace: float) -> int:
    """Return the count to look at next, strictly between both: where the lead is used up if it falls on a line."""
    half = 0.5 * (low + high)
    if above is None or below is None or above <= below:
        return math.floor(half)
    line = (above * high - below * low) / (above - below)
    # A trace towards the middle, so that the end is met from both sides; and no farther from it than looks allow.
    moved = min(trace * (high - low) ** 2, abs(half - line))
    aim = min(max(line + math.copysign(moved, half - line), half - reach), half + reach)
    return min(max(round(aim), low + 1), high - 1)


def _left_out(comparison: Comparison, unit: str, *, adjusted: bool) -> LeftOut:
    rates = _rates_without(comparison, unit, adjusted=adjusted)
    _, present = _units(comparison, unit)
    low, high = int(np.nanargmin(rates)), int(np.nanargmax(rates))
    return LeftOut(
        unit=unit,
        low=float(rates[low]),
        low_code=int(present[low]),
        high=float(rates[high]),
        high_code=int(present[high]),
    )


def _rates_without(comparison: Comparison, unit: str, *, adjusted: bool) -> np.ndarray:
    """Return the headline's rate without each rater, or without each pair: (U,), NaN where nothing would be left.

    A rater enters by sums of scores and counts of votes on either side; what one unit takes away is subtracted.
    """
    crossing = crossing_of(comparison)
    rater = crossing.rater
    whole = np.stack([np.bincount(rater, weights=row, minlength=crossing.n_raters) for row in _by_side(comparison)])
    parts = _contributions(whole)
    if unit == "raters":
        return _rate(parts.sum(axis=1)[:, None] - parts, adjusted=adjusted)
    changes = np.zeros((len(parts), crossing.n_pairs))
    # Some raters at a time: what is held for each of their votes is many times the vote itself.
    step = max(1, crossing.n_raters * _VOTES_AT_A_TIME // len(crossing))
    for begin in range(0, crossing.n_raters, step):
        rows = np.flatnonzero((rater >= begin) & (rater < begin + step))
        # Leaving a pair out changes its own raters' means alone: only filled cells have to be looked at.
        keys, cell = np.unique(rater[rows] * crossing.n_pairs + crossing.pair[rows], return_inverse=True)
        whose, pair = keys // crossing.n_pairs, keys % crossing.n_pairs
        taken = np.stack([np.bincount(cell, weights=row, minlength=len(keys)) for row in _by_side(comparison, rows)])
        change = _contributions(whole[:, whose] - taken) - parts[:, whose]
        for total, row in zip(changes, change, strict=True):
            np.add.at(total, pair, row)
    return _rate(parts.sum(axis=1)[:, None] + changes, adjusted=adjusted)


def _by_side(comparison: Comparison, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Return score and count of votes with the arm on the left, and of those with it on the right: (4, N)."""
    score, left = comparison.score[rows], comparison.side[rows] > 0
    return np.stack([part for shown in (left, ~left) for part in (score * shown, shown.astype(float))])


def _contributions(sums: np.ndarray) -> np.ndarray:
    """Return what raters add to the estimate, each rater's votes weighing one in all: (5, R).

    Scores and weights on either side, and 1 for a rater who has votes.
    """
    votes = sums[1] + sums[3]
    shares = np.divide(sums, votes, out=np.zeros_like(sums), where=votes > 0)
    return np.concatenate([shares, (votes > 0)[None].astype(float)])


def _rate(totals: np.ndarray, *, adjusted: bool) -> np.ndarray:
    left_score, left_weight, right_score, right_weight, raters = totals
    with np.errstate(invalid="ignore", divide="ignore"):
        if adjusted:
            return 0.5 * (left_score / left_weight + right_score / right_weight)
        return (left_score + right_score) / raters
