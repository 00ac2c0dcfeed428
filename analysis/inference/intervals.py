"""From an estimate and its standard error to a result: t interval, logit scale at the borders, p-value, warnings."""

from __future__ import annotations

import sys
from typing import overload

from scipy import special, stats

from analysis.inference.crossing import Crossing
from analysis.inference.estimate import Estimate, Sizes

__all__ = [
    "FEW_UNITS",
    "LEVEL",
    "clamped_p",
    "few_units_warning",
    "interval_at",
    "joined",
    "on_logit_scale",
    "rate_interval",
    "t_interval",
]

# The report contract names its intervals ci95.
LEVEL = 0.95
# With few clusters such intervals tend to be too short (Cameron and Miller, J. Human Resources 50, 2015).
FEW_UNITS = 10
# Rounding in sums of N terms of size <= 1 leaves about 1e-17; a standard error below this is a zero one.
_ZERO_SE = 1e-12


def clamped_p(p_value: float) -> float:
    """Return a p-value in (0, 1]: a tail too small for a double becomes the smallest positive normal double."""
    return min(1.0, max(float(p_value), sys.float_info.min))


@overload
def joined(first: str, /, *remarks: str | None) -> str: ...


@overload
def joined(*remarks: str | None) -> str | None: ...


def joined(*remarks: str | None) -> str | None:
    """Return the remarks that exist as one reason, or None."""
    return "; ".join(remark for remark in remarks if remark) or None


def few_units_warning(crossing: Crossing, *, pairs: bool = True) -> str | None:
    """Return the warning for fewer than ten raters (or sites) or, where pairs count as sampled, ten pairs."""
    few = []
    if crossing.n_units < FEW_UNITS:
        few.append(f"{crossing.n_units} {crossing.unit_name}{'s' * (crossing.n_units != 1)}")
    if pairs and crossing.n_pairs < FEW_UNITS:
        few.append(f"{crossing.n_pairs} pair{'s' * (crossing.n_pairs != 1)}")
    if not few:
        return None
    return f"only {' and '.join(few)}: fewer than {FEW_UNITS}, the interval's coverage is uncertain"


def t_interval(
    estimate: float,
    se: float,
    *,
    df: float,
    method: str,
    null: float = 0.0,
    reason: str | None = None,
    counts: Sizes | None = None,
) -> Estimate:
    """Return the t interval and two-sided p of an unbounded quantity; no interval where the standard error is zero."""
    counts = counts or Sizes()
    # Written so that NaN is refused as well.
    if not se > _ZERO_SE:
        missing = joined(_NO_VARIANCE, reason)
        return Estimate(method=method, estimate=estimate, reason=missing, is_without_variation=True, **counts)
    half = stats.t.ppf(0.5 + LEVEL / 2, df) * se
    return Estimate(
        method=method,
        estimate=estimate,
        ci95=(estimate - half, estimate + half),
        se=se,
        df=df,
        p_value=clamped_p(2 * stats.t.sf(abs(estimate - null) / se, df)),
        reason=reason,
        **counts,
    )


_NO_VARIANCE = "no interval: the votes show no variation between units, so the standard error is zero"


def rate_interval(
    estimate: float,
    se: float,
    *,
    df: float,
    method: str,
    reason: str | None = None,
    counts: Sizes | None = None,
) -> Estimate:
    """Return the t interval of a rate and its p against 1/2, on the logit scale when the plain bounds leave [0, 1].

    Parameters
    ----------
    estimate : float
        A rate in [0, 1].
    se : float
        Its standard error; zero (no variation) gives the rate without an interval.
    df : float
        Degrees of freedom of the t distribution.
    method : str
        The method in words; "on the logit scale" is added to it where that scale was taken.
    """
    plain = t_interval(estimate, se, df=df, method=method, null=0.5, reason=reason, counts=counts)
    if plain.ci95 is None or not on_logit_scale(estimate, se, df):
        return plain
    return _logit_interval(plain)


def on_logit_scale(estimate: float, se: float, df: float) -> bool:
    """Return whether the plain 95 % t interval of a rate leaves [0, 1], so that the logit scale is used instead."""
    half = stats.t.ppf(0.5 + LEVEL / 2, df) * se
    return estimate - half < 0.0 or estimate + half > 1.0


def interval_at(result: Estimate, level: float) -> tuple[float, float]:
    """Return the interval of a rate at another confidence, on the scale that its 95 % interval and p-value took.

    Parameters
    ----------
    result : Estimate
        What :func:`rate_interval` returned, with an interval.
    level : float in (0, 1)

    Examples
    --------
    >>> result = rate_interval(0.6, 0.05, df=20, method="t")
    >>> interval_at(result, 0.95) == result.ci95
    True
    """
    rate, se, df = result.t_terms()
    quantile = float(stats.t.isf((1.0 - level) / 2, df))
    # The same scale at every level: a wider interval must hold the narrower one.
    if on_logit_scale(rate, se, df):
        half, centre = quantile * se / (rate * (1.0 - rate)), float(special.logit(rate))
        return float(special.expit(centre - half)), float(special.expit(centre + half))
    # The stored bounds to the last bit, as the report shows them.
    if level == LEVEL and result.ci95 is not None:
        return result.ci95
    return max(0.0, rate - quantile * se), min(1.0, rate + quantile * se)


def _logit_interval(plain: Estimate) -> Estimate:
    """Delta method: the standard error of logit(p) is se / (p (1 - p)); p-value and interval use the same scale."""
    rate, se, df = plain.t_terms()
    if not 0.0 < rate < 1.0:
        return Estimate(
            method=plain.method,
            estimate=rate,
            n_raters=plain.n_raters,
            n_pairs=plain.n_pairs,
            n_votes=plain.n_votes,
            reason=joined("no interval: the rate is 0 or 1, where neither scale has one", plain.reason),
            is_without_variation=True,
        )
    centre, spread = float(special.logit(rate)), se / (rate * (1.0 - rate))
    half = stats.t.ppf(0.5 + LEVEL / 2, df) * spread
    low, high = float(special.expit(centre - half)), float(special.expit(centre + half))
    return Estimate(
        method=f"{plain.method}, on the logit scale (delta method) because the plain bounds leave [0, 1]",
        estimate=rate,
        ci95=(low, high),
        se=se,
        df=df,
        p_value=clamped_p(2 * stats.t.sf(abs(centre) / spread, df)),
        n_raters=plain.n_raters,
        n_pairs=plain.n_pairs,
        n_votes=plain.n_votes,
        reason=plain.reason,
    )
