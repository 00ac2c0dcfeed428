"""From the errors of a fit to what is said of each arm: strength, rank and interval, and the contrasts of all arms."""

from __future__ import annotations

import math
from typing import TypeAlias, TypedDict, Unpack

import numpy as np

from analysis.inference.estimate import Estimate
from analysis.inference.intervals import few_units_warning, joined, t_interval
from analysis.ranking.errors import StrengthErrors
from analysis.ranking.quasi_variance import quasi_variances
from analysis.ranking.results import ArmStrength, Contrast
from analysis.ranking.win_matrix import WinMatrix

__all__ = ["Split", "arm_results", "contrasts_of", "strength_interval"]

# Groups of arms joined by votes, each with the reason why its strengths are not finite, or None.
Split: TypeAlias = list[tuple[np.ndarray, str | None]]


def contrasts_of(
    data: WinMatrix, usable: list[np.ndarray], errors: StrengthErrors, method: str
) -> tuple[Contrast, ...]:
    """Return all differences within groups, with p-values adjusted by Holm over the whole family."""
    found = []
    for members in usable:
        for place, one in enumerate(members):
            for other in members[place + 1 :]:
                found.append((one, other, _difference(data, errors, int(one), int(other), method)))
    adjusted = _holm([difference.p_value for _, _, difference in found])
    return tuple(
        Contrast(arm=data.arms[one], other=data.arms[other], difference=difference, p_adjusted=p)
        for (one, other, difference), p in zip(found, adjusted, strict=True)
    )


def _difference(data: WinMatrix, errors: StrengthErrors, one: int, other: int, method: str) -> Estimate:
    contrast = np.zeros(len(data.arms))
    contrast[one], contrast[other] = 1.0, -1.0
    words = f"difference of two strengths; {method}"
    return strength_interval(float(contrast @ errors.strengths), errors.clustered_se(contrast), errors, words)


def strength_interval(value: float, se: float | None, errors: StrengthErrors, method: str) -> Estimate:
    """Return a strength or a difference of two with its t interval, or with the reason why it has none."""
    if se is None:
        return Estimate(method=method, estimate=value, reason=errors.reason, **errors.counts)
    reason = few_units_warning(errors.crossing)
    return t_interval(value, se, df=errors.df, method=method, reason=reason, counts=errors.counts)


def _holm(p_values: list[float | None]) -> list[float | None]:
    """Holm's step-down adjustment; missing p-values are not in the family."""
    # With the place as the second key: equal p-values keep one order.
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(known):
        running = min(1.0, max(running, (len(known) - rank) * p))
        adjusted[index] = running
    return adjusted


def arm_results(
    data: WinMatrix,
    split: Split,
    errors: StrengthErrors,
    boot: np.ndarray | None,
    contrasts: tuple[Contrast, ...],
    reference: str | None,
) -> tuple[ArmStrength, ...]:
    """Return each arm's strength, errors, rank and rank interval; arms without a finite strength give the reason."""
    results: dict[int, ArmStrength] = {}
    for number, (members, why) in enumerate(split):
        if why is not None:
            results.update({int(arm): ArmStrength(arm=data.arms[arm], component=number, reason=why) for arm in members})
            continue
        quasi, clustered = quasi_variances(errors.model_covariance(members)), errors.clustered_covariance(members)
        quasi_clustered = None if clustered is None else quasi_variances(clustered)
        order = np.argsort(-errors.strengths[members], kind="stable")
        for place, arm in enumerate(members):
            results[int(arm)] = _arm(
                data.arms[arm],
                errors,
                int(arm),
                number,
                quasi_se=None if quasi is None else math.sqrt(quasi[place]),
                quasi_se_clustered=None if quasi_clustered is None else math.sqrt(quasi_clustered[place]),
                se_bootstrap=None if boot is None else float(boot[arm]),
                rank=int(np.flatnonzero(order == place)[0]) + 1,
                rank_interval=_rank_interval(data.arms[arm], len(members), contrasts),
                is_reference=data.arms[arm] == reference,
            )
    return tuple(results[arm] for arm in range(len(data.arms)))


class _Known(TypedDict):
    """The fields of :class:`ArmStrength` of these names."""

    quasi_se: float | None
    quasi_se_clustered: float | None
    se_bootstrap: float | None
    rank: int
    rank_interval: tuple[int, int] | None


def _arm(
    name: str, errors: StrengthErrors, arm: int, component: int, *, is_reference: bool, **known: Unpack[_Known]
) -> ArmStrength:
    if is_reference:
        own = "the reference: 0 by definition, so it has no error of its own"
        known["se_bootstrap"] = None
        return ArmStrength(arm=name, component=component, strength=0.0, reason=own, **known)
    contrast = np.zeros(len(errors.strengths))
    contrast[arm] = 1.0
    result = strength_interval(float(errors.strengths[arm]), errors.clustered_se(contrast), errors, "strength")
    reason = (
        None if known["quasi_se"] is not None else "quasi-variances need three arms or more and a positive solution"
    )
    return ArmStrength(
        arm=name,
        component=component,
        strength=result.estimate,
        se=errors.model_se(contrast),
        se_clustered=result.se,
        ci95=result.ci95,
        reason=joined(result.reason, reason),
        **known,
    )


def _rank_interval(arm: str, size: int, contrasts: tuple[Contrast, ...]) -> tuple[int, int] | None:
    """Ranks that the Holm-adjusted contrasts at 5 % leave open; simultaneous over arms."""
    better = worse = 0
    for contrast in contrasts:
        if arm not in (contrast.arm, contrast.other):
            continue
        if contrast.p_adjusted is None or contrast.difference.estimate is None:
            return None
        if contrast.p_adjusted <= 0.05:
            ahead = (contrast.difference.estimate > 0) == (contrast.arm == arm)
            better, worse = better + (not ahead), worse + ahead
    # Every arm surely ahead costs a place at the top, every one surely behind one at the bottom.
    return 1 + better, size - worse
