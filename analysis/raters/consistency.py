"""Intra-rater consistency: does a rater give the same answer to the same pair with its sides swapped."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from analysis.inference.bootstrap import percentile_estimate, unit_bootstrap
from analysis.inference.crossing import Crossing, group_index
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import few_units_warning, joined, rate_interval
from analysis.votes.table import LEFT, TIE, VoteTable

__all__ = ["Consistency", "RepeatedVotes", "consistency", "repeated_votes"]


@dataclass(frozen=True, kw_only=True)
class RepeatedVotes:
    """Two votes of one rater on one pair with the same arms on swapped sides.

    Parameters
    ----------
    rater, pair : (M,) int64
        Codes of the vote table.
    first, second : (M,) int64
        The answers in the order given: the chosen arm's code, or the number of arms for a tie.
    values : int
        Number of possible answers, the tie included.
    unswapped : int
        Repeats shown on the same sides, which tell memory from preference no better and are left out.
    """

    rater: np.ndarray
    pair: np.ndarray
    first: np.ndarray
    second: np.ndarray
    values: int
    unswapped: int

    def __len__(self) -> int:
        return len(self.rater)


def repeated_votes(table: VoteTable) -> RepeatedVotes:
    """Find each rater's first two votes on the same pair and arms, ordered by ``position`` where the table has it.

    Check trials and practice (``check_kind`` other than ``repeat``) are left out.
    """
    if "check_kind" in table.extra:
        table = table.rows(np.isin(table.extra["check_kind"].astype(str), ("", "repeat")))
    arms = len(table.arms)
    low, high = np.minimum(table.arm_left, table.arm_right), np.maximum(table.arm_left, table.arm_right)
    key = ((table.rater * len(table.pairs) + table.pair) * arms + low) * arms + high
    position = table.extra.get("position", np.arange(len(table)))
    order = np.lexsort((position, key))
    key = key[order]
    starts = np.ones(len(key), dtype=bool)
    starts[1:] = key[1:] != key[:-1]
    has_second = starts[:-1] & ~starts[1:]
    one = order[:-1][has_second]
    two = order[1:][has_second]
    swapped = table.arm_left[one] != table.arm_left[two]
    answer = np.where(table.choice == LEFT, table.arm_left, table.arm_right)
    answer = np.where(table.choice == TIE, arms, answer)
    return RepeatedVotes(
        rater=table.rater[one[swapped]],
        pair=table.pair[one[swapped]],
        first=answer[one[swapped]],
        second=answer[two[swapped]],
        values=arms + 1,
        unswapped=int(np.count_nonzero(~swapped)),
    )


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """The consistency section of a report: the share of repeats answered alike, and its excess over chance."""

    same_answer: Estimate
    kappa: Estimate

    def as_json(self) -> dict:
        return {"same_answer": self.same_answer.as_json(), "kappa": self.kappa.as_json()}


def consistency(table: VoteTable, *, seed: int = 0) -> Consistency:
    """Return the share of side-swapped repeats answered alike (mean over raters, t interval) and Cohen's kappa.

    References
    ----------
    Cohen, Educational and Psychological Measurement 20 (1960).
    """
    repeats = repeated_votes(table)
    rater, raters = group_index(repeats.rater)
    pair, pairs = group_index(repeats.pair)
    crossing = Crossing(rater=rater, pair=pair, n_raters=len(raters), n_pairs=len(pairs))
    ignored = f"{repeats.unswapped} repeats on unswapped sides left out" if repeats.unswapped else None
    return Consistency(
        same_answer=_same_answer(repeats, crossing, ignored), kappa=_kappa(repeats, crossing, ignored, seed)
    )


_NO_REPEATS = "no pair was shown twice to a rater with its sides swapped"


def _same_answer(repeats: RepeatedVotes, crossing: Crossing, ignored: str | None) -> Estimate:
    method = "share of side-swapped repeats answered alike (same arm, or twice a tie), mean over raters, t interval"
    if not len(repeats):
        return refused(method, joined(_NO_REPEATS, ignored), **crossing.counts())
    alike = (repeats.first == repeats.second).astype(np.float64)
    load = np.bincount(crossing.rater)
    rates = np.bincount(crossing.rater, weights=alike) / load
    if crossing.n_raters < 2:
        reason = joined("no interval: only 1 rater saw repeats", ignored)
        return Estimate(method=method, estimate=float(rates.mean()), reason=reason, **crossing.counts())
    result = rate_interval(
        float(rates.mean()),
        float(rates.std(ddof=1)) / math.sqrt(len(rates)),
        df=len(rates) - 1,
        method=method,
        reason=joined(few_units_warning(crossing, pairs=False), ignored),
        counts=crossing.counts(),
    )
    # Chance agreement is not 1/2 once ties exist: kappa answers that question, a p-value here would not.
    return replace(result, p_value=None)


def _kappa(repeats: RepeatedVotes, crossing: Crossing, ignored: str | None, seed: int) -> Estimate:
    method = "Cohen's kappa of first and side-swapped second answer (arms and tie), bootstrap over raters"
    if not len(repeats):
        return refused(method, joined(_NO_REPEATS, ignored), **crossing.counts())
    cells = repeats.values**2
    place = crossing.rater * cells + repeats.first * repeats.values + repeats.second
    per_rater = np.bincount(place, minlength=crossing.n_raters * cells).reshape(crossing.n_raters, cells)
    point = _kappa_of(per_rater.sum(axis=0, keepdims=True).astype(np.float64))[0]
    if not np.isfinite(point):
        return refused(method, joined("only one answer was used: kappa is not defined", ignored), **crossing.counts())
    replicates = unit_bootstrap(_kappa_of, per_rater.astype(np.float64), seed=seed)
    return percentile_estimate(
        float(point),
        replicates,
        method=method,
        reason=joined(few_units_warning(crossing, pairs=False), ignored),
        counts=crossing.counts(),
    )


def _kappa_of(sums: np.ndarray) -> np.ndarray:
    """Kappa of flattened square tables of counts, (B, V * V) float64; NaN where chance agreement is 1."""
    values = math.isqrt(sums.shape[1])
    share = sums.reshape(-1, values, values) / sums.sum(axis=1)[:, None, None]
    observed = np.trace(share, axis1=1, axis2=2)
    chance = (share.sum(axis=1) * share.sum(axis=2)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(1.0 - chance > 1e-12, (observed - chance) / (1.0 - chance), np.nan)
