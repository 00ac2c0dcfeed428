"""Preference within groups of pairs (classes) or of raters (sites, languages), and whether it differs between them.

A class often has two to six pairs, too few for an interval of its own. The spread of pairs is therefore estimated over
all classes together, on the logit scale, where it may be taken as alike; what raters add is clustered by class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, stats

from analysis.inference.crossing import (
    Crossing,
    cluster_variance,
    crossing_of,
    group_index,
    rater_averaged_weights,
)
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import LEVEL, clamped_p, few_units_warning
from analysis.preference.rate import weighted_mean
from analysis.votes.table import Comparison

__all__ = ["LEAST_DF", "Nested", "group_rates", "heterogeneity"]

Nested = Literal["pair", "rater"]
# The pooled spread needs this many degrees of freedom: pairs beyond one a class, summed over classes.
LEAST_DF = 5
_TAIL = 0.5 + LEVEL / 2


@dataclass(frozen=True)
class _Group:
    """One group's rate and the variances that it adds up from.

    ``crossed`` is the cluster variance by the units that cross the groups (raters of classes), ``nested`` and ``cell``
    those by the units within the group (its pairs) and by the cells of both. ``floor`` times p (1 - p) is the variance
    that independent votes alone would have at the rate p.
    """

    rate: float
    crossed: float
    nested: float
    cell: float
    n_crossed: int
    n_nested: int
    floor: float
    crossing: Crossing


def group_rates(groups: Sequence[Comparison], *, nested: Nested = "pair") -> list[Estimate]:
    """Return each group's rater-averaged preference rate, its interval and p against 1/2.

    The variance is that of the crossing units within the group plus the nested units' pooled spread over their number;
    the interval holds the rates that the test does not reject, each with the variance the votes would have under it.

    Parameters
    ----------
    groups : sequence of Comparison
        The votes of each group; none empty.
    nested : {"pair", "rater"}
        Which units belong to one group each: pairs of classes, raters of sites.

    Returns
    -------
    list of Estimate
        Without an interval, and with the reason, where the groups hold too few units to know their spread.

    References
    ----------
    Cameron, Gelbach and Miller, JBES 29 (2011); Satterthwaite, Biometrics Bulletin 2 (1946), for the df.
    """
    parts = [_group(group, nested) for group in groups]
    spread, df = _pooled_spread(parts)
    return [_rate(part, spread, df, nested) for part in parts]


def _group(comparison: Comparison, nested: Nested) -> _Group:
    crossing = crossing_of(comparison)
    weights = rater_averaged_weights(crossing)
    rate = weighted_mean(comparison.score, weights)
    influence = weights * (comparison.score - rate)
    by_unit = _corrected(influence, crossing.unit, crossing.n_units)
    by_pair = _corrected(influence, crossing.pair, crossing.n_pairs)
    cells = crossing.unit_cells()
    pairs_nest = nested == "pair"
    # Where no unit differs from another nothing tells how alike its votes are: each unit then counts as one vote.
    votes_alone = float(weights @ weights) if by_unit > 0.0 else 1.0 / min(crossing.n_units, crossing.n_pairs)
    return _Group(
        rate=rate,
        crossed=by_unit if pairs_nest else by_pair,
        nested=by_pair if pairs_nest else by_unit,
        cell=_corrected(influence, cells, int(cells.max()) + 1),
        n_crossed=crossing.n_units if pairs_nest else crossing.n_pairs,
        n_nested=crossing.n_pairs if pairs_nest else crossing.n_units,
        floor=votes_alone * float(np.mean(comparison.score != 0.5)),
        crossing=crossing,
    )


def _corrected(influence: np.ndarray, group: np.ndarray, groups: int) -> float:
    return cluster_variance(influence, group, groups) if groups > 1 else 0.0


@dataclass(frozen=True)
class _Spread:
    """Variance of one nested unit at the rate 1/2: what is left of it without the votes' own noise, and with it."""

    own: float
    total: float


def _pooled_spread(parts: Sequence[_Group]) -> tuple[_Spread, int]:
    """Pool n V over groups as a ratio of sums, so that a group near 0 or 1 weighs as little as it tells."""
    df = sum(part.n_nested - 1 for part in parts)
    # Weighted by degrees of freedom: a class of two pairs says little about how pairs spread.
    scale = sum((part.n_nested - 1) * _logit_scale(part.rate) for part in parts)
    if not scale > 0.0:
        return _Spread(own=0.0, total=0.0), df
    total = sum((part.n_nested - 1) * part.n_nested * part.nested for part in parts)
    noise = sum((part.n_nested - 1) * part.n_nested * part.cell for part in parts)
    # The cell part is the votes' own noise, which the crossing term holds already.
    return _Spread(own=max(total - noise, 0.0) / scale, total=total / scale), df


def _logit_scale(rate: float) -> float:
    """Square of the slope of the rate in its log-odds, 1 at the rate 1/2: a spread on the logit scale shrinks so."""
    return (4.0 * rate * (1.0 - rate)) ** 2


def _variance(part: _Group, spread: _Spread, rate: float) -> float:
    crossed = max(part.crossed, part.floor * rate * (1.0 - rate))
    return crossed + spread.own * _logit_scale(rate) / part.n_nested


def _df(part: _Group, spread: _Spread, df: int) -> float:
    """Satterthwaite's degrees of freedom at the rate 1/2; the spread's error is that of its total."""
    crossed = max(part.crossed, 0.25 * part.floor)
    whole = crossed + spread.own / part.n_nested
    return whole**2 / (crossed**2 / (part.n_crossed - 1) + (spread.total / part.n_nested) ** 2 / df)


_METHODS = {
    "pair": "preference rate in the class, rater-averaged, ties split; raters clustered within the class, the spread "
    "of pairs pooled over classes on the logit scale; t with Satterthwaite df, interval by inversion of the test",
    "rater": "preference rate in the group of raters, ties split; pairs clustered within the group, the spread of "
    "raters pooled over groups on the logit scale; t with Satterthwaite df, interval by inversion of the test",
}


def _rate(part: _Group, spread: _Spread, df: int, nested: Nested) -> Estimate:
    method, counts = _METHODS[nested], part.crossing.counts()
    lack = _lack(part, df, nested)
    if lack:
        return Estimate(method=method, estimate=part.rate, reason=lack, **counts)
    at_null = _variance(part, spread, 0.5)
    if not part.floor > 0.0:
        return Estimate(method=method, estimate=part.rate, reason="no interval: every vote is a tie", **counts)
    freedom = _df(part, spread, df)
    quantile = float(stats.t.ppf(_TAIL, freedom))

    def outside(rate: float) -> float:
        return abs(part.rate - rate) - quantile * math.sqrt(_variance(part, spread, rate))

    # Inverted like Wilson's interval: the variance is taken at the rate that is tested.
    low = _border(outside, 0.0, part.rate)
    high = _border(outside, 1.0, part.rate)
    return Estimate(
        method=method,
        estimate=part.rate,
        ci95=(low, high),
        se=math.sqrt(_variance(part, spread, part.rate)) or None,
        df=freedom,
        p_value=clamped_p(2 * stats.t.sf(abs(part.rate - 0.5) / math.sqrt(at_null), freedom)),
        reason=few_units_warning(part.crossing, pairs=False) if nested == "pair" else None,
        **counts,
    )


def _border(outside: Callable[[float], float], end: float, rate: float) -> float:
    """Return the rate between an end and the estimate at which the test begins to accept."""
    if rate == end or outside(end) <= 0.0:
        return end
    # At a rate of 0 or 1 the variance vanishes; just inside it the test accepts.
    inside = rate + 1e-9 * (end - rate)
    return float(optimize.brentq(outside, end, inside, xtol=1e-12))


def _lack(part: _Group, df: int, nested: Nested) -> str | None:
    crossed, units = ("rater", "pairs") if nested == "pair" else ("pair", "raters")
    if part.n_crossed < 2:
        return f"no interval: only {part.n_crossed} {crossed} in this group"
    if df < LEAST_DF:
        return (
            f"no interval and no test: all groups together have {df} {units} beyond one each, fewer than {LEAST_DF}, "
            f"so the spread of {units} within a group is not known"
        )
    return None


def heterogeneity(groups: Sequence[Comparison], *, nested: Nested = "pair") -> Estimate:
    """Return the test that the preference rate is the same in all groups.

    Parameters
    ----------
    groups, nested
        As in :func:`group_rates`.

    Returns
    -------
    Estimate
        ``estimate`` is F, about 1 when the rates are alike; ``p_value`` is its tail. Units that cross the groups may
        prefer differently in each: that counts as noise, not as a difference of the groups.
    """
    kind = "classes" if nested == "pair" else "groups of raters"
    method = f"F test of equal preference rates in all {kind}; variances of the differences as for each one's rate"
    parts = [_group(group, nested) for group in groups]
    spread, df = _pooled_spread(parts)
    if len(parts) < 2:
        return refused(method, f"{len(parts)} group: nothing to compare")
    if df < LEAST_DF or min(part.n_crossed for part in parts) < 2:
        return refused(method, _lack(min(parts, key=lambda part: part.n_crossed), df, nested) or "too few units")
    # Under the null all groups have one rate: a group that lies far out by chance must not count as the surer for it.
    common = float(np.mean([part.rate for part in parts]))
    share = _logit_scale(common) / np.array([part.n_nested for part in parts])
    crossed = _contrast_variances(groups, parts, nested)
    variances = crossed + spread.own * share
    if not (variances > 0.0).all():
        return refused(method, "votes of a group do not vary")
    rates = np.array([part.rate for part in parts])
    # The common rate is estimated with the weights that the test itself gives.
    centre = float(np.sum(rates / variances) / np.sum(1.0 / variances))
    freedom = len(parts) - 1
    statistic = float(np.sum((rates - centre) ** 2 / variances)) / freedom
    error = crossed.mean() ** 2 / sum(part.n_crossed - 1 for part in parts) + (spread.total * share.mean()) ** 2 / df
    df_below = float(variances.mean() ** 2 / error)
    p_value = clamped_p(stats.f.sf(statistic, freedom, df_below))
    reason = "a test statistic: it has no interval"
    return Estimate(method=method, estimate=statistic, df=df_below, p_value=p_value, reason=reason)


def _contrast_variances(groups: Sequence[Comparison], parts: Sequence[_Group], nested: Nested) -> np.ndarray:
    """Variance that the crossing units give each rate apart from what they give all groups alike.

    A rater who prefers the arm everywhere moves all classes and no difference: the influence of the mean over groups is
    taken off before clustering; K / (K - 1) restores what that takes from the group itself.
    """
    units = np.concatenate([_crossing_codes(group, nested) for group in groups])
    place = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    influence = np.concatenate(
        [
            rater_averaged_weights(part.crossing) * (group.score - part.rate)
            for group, part in zip(groups, parts, strict=True)
        ]
    )
    index, present = group_index(units)
    sums = np.zeros((len(present), len(groups)))
    np.add.at(sums, (index, place), influence)
    # A strict rater lowers all groups alike, which is no difference between them.
    centred = sums - sums.mean(axis=1, keepdims=True)
    spread = np.square(centred).sum(axis=0) * len(groups) / (len(groups) - 1)
    own = np.array([part.n_crossed / (part.n_crossed - 1) for part in parts])
    least = np.array([part.floor * part.rate * (1.0 - part.rate) for part in parts])
    return np.maximum(spread * own, least)


def _crossing_codes(group: Comparison, nested: Nested) -> np.ndarray:
    return group.rater if nested == "pair" else group.pair
