"""The preference rate within each class, with the family of tests adjusted and the classes pooled in part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy import optimize, stats

from analysis.inference.counts import Counts, count_votes
from analysis.inference.crossing import (
    crossed_variance,
    crossing_from,
    crossing_of,
    label_index,
    rater_averaged_weights,
)
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import (
    FEW_UNITS,
    LEVEL,
    clamped_p,
    few_units_warning,
    joined,
    rate_interval,
)
from analysis.preference.groups import group_rates, heterogeneity
from analysis.preference.rate import two_way_t
from analysis.votes.table import Comparison, VoteTable

__all__ = [
    "Adjustment",
    "ClassResult",
    "PerClass",
    "adjusted_p_values",
    "class_names",
    "class_rates",
    "partially_pooled",
    "per_class",
]

# Below these sizes within a class the crossed interval by itself is not trusted (statistics of small clusters).
_LEAST_RATERS, _LEAST_PAIRS = FEW_UNITS, FEW_UNITS
# Above this many classes single tests mislead; the pooled distribution is what to show.
MANY_CLASSES = 100

Adjustment: TypeAlias = Literal["bh", "holm"]


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class: counts, rate with interval and p, adjusted p (None outside the family), partially pooled rate.

    ``class_name`` is what to call it; its label where the votes do not say.
    """

    class_label: str
    counts: Counts
    result: Estimate
    p_adjusted: float | None
    pooled: Estimate
    class_name: str = ""

    def as_json(self) -> dict:
        """Return the entry of ``report.json``."""
        return {
            "class_label": self.class_label,
            "class_name": self.class_name or self.class_label,
            "counts": self.counts.as_json(),
            "result": self.result.as_json(),
            "p_adjusted": self.p_adjusted,
            "pooled": self.pooled.as_json(),
        }


@dataclass(frozen=True, kw_only=True)
class PerClass:
    """All classes in the order of their labels.

    Parameters
    ----------
    classes : tuple of ClassResult
    family_size : int
        Number of classes tested.
    adjustment : {"bh", "holm"}
    mean, sd : Estimate
        Mean of the class rates, raters and classes as crossed samples, and the true rates' standard deviation, from the
        random-effects model.
    heterogeneity : Estimate
        F test that all classes have the same rate.
    reason : str or None
        Why there is nothing, or what to show instead of many tests.
    """

    classes: tuple[ClassResult, ...]
    family_size: int
    adjustment: str
    mean: Estimate
    sd: Estimate
    heterogeneity: Estimate
    reason: str | None = None

    def as_json(self) -> list[dict]:
        return [entry.as_json() for entry in self.classes]


def per_class(comparison: Comparison, *, adjust: Adjustment = "bh") -> PerClass:
    """Return the preference rate of every class that was voted on.

    Parameters
    ----------
    comparison : Comparison
        With ``class_label`` among its extra columns.
    adjust : {"bh", "holm"}
        Benjamini and Hochberg's false discovery rate, or Holm's familywise error rate.
    """
    labels, groups = _class_groups(comparison)
    counts = [count_votes(group) for group in groups]
    results = class_rates(groups)
    in_family = np.array([result.p_value is not None for result in results], dtype=bool)
    adjusted = np.full(len(results), np.nan)
    # Classes without a test are no part of the family: they would only dilute it.
    adjusted[in_family] = adjusted_p_values([r.p_value for r in results if r.p_value is not None], adjust)
    _, sd, pooled = partially_pooled(*_rates_and_errors(counts, results))
    names = class_names(comparison)
    classes = tuple(
        ClassResult(
            class_label=str(label),
            class_name=names.get(str(label), str(label)),
            counts=count,
            result=result,
            p_adjusted=clamped_p(p) if tested else None,
            pooled=shrunk,
        )
        for label, count, result, p, tested, shrunk in zip(
            labels, counts, results, adjusted, in_family, pooled, strict=True
        )
    )
    return PerClass(
        classes=classes,
        family_size=int(in_family.sum()),
        adjustment=adjust,
        mean=_mean_of_classes(groups),
        sd=sd,
        heterogeneity=heterogeneity(groups),
        reason=_family_remark(comparison, len(classes)),
    )


def class_names(votes: Comparison | VoteTable) -> dict[str, str]:
    """Return what the votes call each class, by its label; classes without a name are left out."""
    labels, names = (votes.extra.get(name) for name in ("class_label", "class_name"))
    if labels is None or names is None or not len(labels):
        return {}
    index, found = label_index(labels)
    _, firsts = np.unique(index, return_index=True)
    return {str(label): str(names[row]) for label, row in zip(found, firsts, strict=True) if label and names[row]}


def _class_groups(comparison: Comparison) -> tuple[np.ndarray, list[Comparison]]:
    """The classes voted on and their votes; one stable sort, so linear in the votes up to it."""
    if "class_label" not in comparison.extra:
        return np.zeros(0, dtype=str), []
    index, labels = label_index(comparison.extra["class_label"])
    order = np.argsort(index, kind="stable")
    # What no class rate reads is not copied once more for every class.
    bare = comparison.only(("site",))
    groups = [bare.rows(rows) for rows in _slices(order, np.bincount(index, minlength=len(labels)))]
    # An empty label sorts first, and names no class.
    nameless = int(len(labels) > 0 and labels[0] == "")
    return labels[nameless:], groups[nameless:]


def _slices(order: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    stop = 0
    for size in sizes:
        yield order[stop : stop + size]
        stop += size


def class_rates(groups: list[Comparison]) -> list[Estimate]:
    """Return the rate of each group of votes.

    It has the crossed interval where a group has raters and pairs enough of its own, else that of the pooled spread of
    pairs.
    """
    pooled = group_rates(groups)
    return [_own_rate(group) or shared for group, shared in zip(groups, pooled, strict=True)]


def _own_rate(group: Comparison) -> Estimate | None:
    crossing = crossing_of(group)
    if crossing.n_units < _LEAST_RATERS or crossing.n_pairs < _LEAST_PAIRS:
        return None
    result = two_way_t(group)
    # Votes without variation have no crossed interval; the pooled spread may still give one.
    return None if result.ci95 is None else result


def _mean_of_classes(groups: list[Comparison]) -> Estimate:
    """The mean of the class rates, each class alike: raters, who are the same in all of them, crossed with classes."""
    method = (
        "mean of the class rates, two-way cluster-robust t interval (raters and classes crossed, variance floored at "
        "the larger one-way component, df = min(raters, classes) - 1)"
    )
    # Two classes give one degree of freedom, whose interval spans nearly everything.
    if len(groups) < 3:
        return refused(method, f"{len(groups)} classes: a class effect needs at least 3")
    weights, places = [], np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    for group in groups:
        weights.append(rater_averaged_weights(crossing_of(group)) / len(groups))
    score, site = (
        np.concatenate([group.score for group in groups]),
        np.concatenate([group.extra["site"] for group in groups]) if "site" in groups[0].extra else None,
    )
    crossing = crossing_from(np.concatenate([group.rater for group in groups]), places, site)
    rate = float(np.concatenate(weights) @ score)
    if few := crossing.few_units():
        return Estimate(method=method, estimate=rate, reason=f"no interval: {few}")
    variance = crossed_variance(np.concatenate(weights) * (score - rate), crossing).total
    result = rate_interval(rate, math.sqrt(max(variance, 0.0)), df=crossing.df, method=method)
    return replace(result, p_value=None, reason=joined(few_units_warning(crossing, pairs=False), result.reason))


def _family_remark(comparison: Comparison, classes: int) -> str | None:
    if "class_label" not in comparison.extra:
        return "the votes carry no class_label"
    if not classes:
        return "no vote names its class" if len(comparison) else "no votes"
    nameless = int(np.count_nonzero(comparison.extra["class_label"] == ""))
    if nameless:
        return f"{nameless} votes name no class and are left out"
    if classes > MANY_CLASSES:
        return f"{classes} classes: read the pooled distribution (mean and SD of the class rates), not {classes} tests"
    return None


def adjusted_p_values(p_values: list[float] | np.ndarray, adjust: Adjustment) -> np.ndarray:
    """Return p-values adjusted for their family, in the same order.

    Parameters
    ----------
    p_values : (F,) float in (0, 1]
    adjust : {"bh", "holm"}

    Raises
    ------
    ValueError
        If ``adjust`` is another word.

    Examples
    --------
    >>> adjusted_p_values([0.01, 0.04, 0.03], "holm").tolist()
    [0.03, 0.06, 0.06]

    References
    ----------
    Benjamini and Hochberg, JRSS B 57 (1995); Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if adjust == "bh":
        return stats.false_discovery_control(p_values) if len(p_values) else p_values
    if adjust == "holm":
        order = np.argsort(p_values, kind="stable")
        # Monotone: a larger p must not come out smaller after its adjustment.
        stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
        adjusted = np.empty_like(p_values)
        adjusted[order] = np.minimum(stepped, 1.0)
        return adjusted
    raise ValueError(f"adjust is {adjust!r}; it must be 'bh' or 'holm'")


def _rates_and_errors(counts: list[Counts], results: list[Estimate]) -> tuple[np.ndarray, np.ndarray]:
    """Class rates with ties split and their errors; without a crossed one, the binomial one at (k + 1) / (n + 2)."""
    rates = np.array([c.rate for c in counts], dtype=np.float64)
    errors = np.empty(len(rates))
    for row, (count, result) in enumerate(zip(counts, results, strict=True)):
        # At 0 or n wins the plain binomial error would be 0, and the class would weigh everything.
        smoothed = (count.wins + 0.5 * count.ties + 1) / (count.votes + 2)
        crossed = result.se is not None and result.df is not None
        errors[row] = result.se if crossed else np.sqrt(smoothed * (1 - smoothed) / count.votes)
        rates[row] = result.estimate if crossed else rates[row]
    return rates, errors


_POOLING = "classes as a random effect (Paule-Mandel), given the mean treated as independent"


def partially_pooled(rates: np.ndarray, errors: np.ndarray) -> tuple[Estimate, Estimate, list[Estimate]]:
    """Return the mean and SD of the true class rates, and each class's rate shrunk towards that mean.

    Parameters
    ----------
    rates, errors : (C,) float64
        Class rates in [0, 1] and their standard errors, positive.

    Returns
    -------
    mean, sd : Estimate
    shrunk : list of Estimate
        Posterior mean and interval of each class under normal class effects.

    References
    ----------
    Paule and Mandel, J. Res. NBS 87 (1982); Viechtbauer, Statistics in Medicine 26 (2007), for the interval of the SD.
    """
    if len(rates) < 3:
        reason = f"{len(rates)} classes: a class effect needs at least 3"
        none = refused(_POOLING, reason)
        return none, none, [none] * len(rates)
    variance = errors**2
    between = _between_variance(rates, variance, len(rates) - 1)
    weight = 1.0 / (variance + between)
    centre = float(weight @ rates / weight.sum())
    centre_variance = 1.0 / weight.sum()
    # The noisier a class, the closer it is drawn to the mean of all.
    pull = variance * weight
    spread = np.sqrt((1 - pull) * variance + pull**2 * centre_variance)
    shrunk = [
        _pooled_rate(value, se, len(rates), "class rate, partially pooled")
        for value, se in zip(pull * centre + (1 - pull) * rates, spread, strict=True)
    ]
    mean = _pooled_rate(centre, np.sqrt(centre_variance), len(rates), "mean of the class rates")
    return mean, _between_sd(rates, variance, between), shrunk


def _pooled_rate(rate: float, se: float, classes: int, name: str) -> Estimate:
    result = rate_interval(float(rate), float(se), df=classes - 1, method=f"{name}, {_POOLING}")
    # Drawn towards a mean that the data gave, a rate has no test of its own against 1/2.
    return replace(result, p_value=None)


def _excess(between: float, rates: np.ndarray, variance: np.ndarray, target: float) -> float:
    """Cochran's Q at a between-class variance, less its target; decreasing in the variance."""
    weight = 1.0 / (variance + between)
    centre = weight @ rates / weight.sum()
    return float(weight @ (rates - centre) ** 2 - target)


def _between_variance(rates: np.ndarray, variance: np.ndarray, target: float) -> float:
    """The variance at which Q meets the target, 0 where it is below it already; 1 bounds the variance of rates."""
    if _excess(0.0, rates, variance, target) <= 0.0:
        return 0.0
    if _excess(1.0, rates, variance, target) >= 0.0:
        return 1.0
    return float(optimize.brentq(_excess, 0.0, 1.0, args=(rates, variance, target), xtol=1e-14))


def _between_sd(rates: np.ndarray, variance: np.ndarray, between: float) -> Estimate:
    tails = [float(stats.chi2.ppf(tail, len(rates) - 1)) for tail in (0.5 + LEVEL / 2, 0.5 - LEVEL / 2)]
    low, high = (float(np.sqrt(_between_variance(rates, variance, tail))) for tail in tails)
    method = f"SD of the true class rates, {_POOLING}, Q-profile interval"
    interval = (low, high) if high > low else None
    reason = None if interval else "no interval: the class rates vary less than their errors allow"
    return Estimate(method=method, estimate=float(np.sqrt(between)), ci95=interval, reason=reason)
