"""A fitted crossed logistic model as results: coefficients, SDs, and rates integrated over raters and pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from analysis.inference.crossing import Crossing, site_lack
from analysis.inference.estimate import Estimate, Sizes
from analysis.inference.intervals import clamped_p, few_units_warning, joined
from analysis.regression.crossed_effects import MOST_DENSE_LEVELS
from analysis.regression.laplace_fit import LaplaceFit

__all__ = [
    "LATENT_VARIANCE",
    "CrossedModel",
    "Lack",
    "average_over_normal",
    "between_df",
    "coefficient",
    "crossing_lack",
    "log_interval",
    "logistic_average",
    "random_effects",
    "rate_estimate",
    "single_vote_factors",
]

# The upper end of a two-sided 95 % interval.
_TAIL = 0.975
# The variance of a standard logistic variable: the votes' own share on the latent scale.
LATENT_VARIANCE = math.pi**2 / 3


@dataclass(frozen=True, kw_only=True)
class CrossedModel:
    """What every crossed model with random intercepts of raters and pairs reports beside its estimates.

    Parameters
    ----------
    sd_rater, sd_pair : float or None
        Standard deviations of the random intercepts, logit scale; 0 in a singular fit, None when not identified.
    sd_rater_ci95, sd_pair_ci95 : (float, float) or None
        Wald intervals on the log scale; None for an SD at 0 or below its standard error.
    share_rater, share_pair : float or None
        Share of the latent variance ``sd_rater^2 + sd_pair^2 + pi^2 / 3``.
    log_likelihood : float or None
        Maximum of the Laplace log-likelihood, each vote a single trial.
    singular : tuple of str
        Which of "raters", "pairs" have an SD estimated at exactly 0.
    separation : str or None
        What separates the votes, when Wald numbers do not exist for that reason.
    reason : str or None
        Why the fit, or a part of it, is refused, or a warning.
    """

    sd_rater: float | None = None
    sd_pair: float | None = None
    sd_rater_ci95: tuple[float, float] | None = None
    sd_pair_ci95: tuple[float, float] | None = None
    share_rater: float | None = None
    share_pair: float | None = None
    log_likelihood: float | None = None
    singular: tuple[str, ...] = ()
    separation: str | None = None
    reason: str | None = None

    def spread_as_json(self) -> dict[str, Any]:
        """Return the numbers on raters and pairs as ``report.json`` holds them."""
        return {
            "sd_rater": self.sd_rater,
            "sd_pair": self.sd_pair,
            "sd_rater_ci95": None if self.sd_rater_ci95 is None else list(self.sd_rater_ci95),
            "sd_pair_ci95": None if self.sd_pair_ci95 is None else list(self.sd_pair_ci95),
            "share_rater": self.share_rater,
            "share_pair": self.share_pair,
            "log_likelihood": self.log_likelihood,
        }

    def remarks_as_json(self) -> dict[str, Any]:
        """Return what is wrong with the fit as ``report.json`` holds it."""
        return {"singular": list(self.singular), "separation": self.separation, "reason": self.reason}


@dataclass(frozen=True)
class Lack:
    """Why votes carry no crossed model; ``is_separation`` where they drive an effect to infinity."""

    reason: str
    is_separation: bool = False

    @property
    def separation(self) -> str | None:
        """What separates the votes, where that is the reason."""
        return self.reason if self.is_separation else None


def crossing_lack(crossing: Crossing, votes: str) -> Lack | None:
    """Return why votes of this kind carry no crossed model at all, or None."""
    if not len(crossing):
        return Lack(f"no {votes}")
    if min(crossing.n_raters, crossing.n_pairs) < 2:
        unit = "rater" if crossing.n_raters < 2 else "pair"
        return Lack(f"only 1 {unit} with {votes}; a crossed model needs at least 2 raters and 2 pairs")
    if lack := site_lack(crossing):
        return Lack(lack)
    if min(crossing.n_raters, crossing.n_pairs) > MOST_DENSE_LEVELS:
        return Lack(f"both factors have more than {MOST_DENSE_LEVELS} levels, too many for the dense elimination")
    return None


def single_vote_factors(crossing: Crossing) -> tuple[str, ...]:
    """Return which of "rater", "pair" has one vote a level: its SD cannot be told from the votes' own variance."""
    codes = {"rater": crossing.rater, "pair": crossing.pair}
    return tuple(name for name, levels in codes.items() if np.bincount(levels).max() < 2)


def random_effects(fit: LaplaceFit, crossing: Crossing, left_out: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a result on random effects: SDs, intervals, shares, singular factors, and the remark."""
    errors = np.sqrt(np.diagonal(fit.settled_covariance)[-2:])
    total = fit.sd_rater**2 + fit.sd_pair**2 + LATENT_VARIANCE
    fields: dict[str, Any] = {}
    remarks: list[str] = []
    for name, sd, se in zip(("rater", "pair"), (fit.sd_rater, fit.sd_pair), errors, strict=True):
        known = name not in left_out
        fields[f"sd_{name}"] = sd if known else None
        # A Wald interval of an SD below its own error reaches from nowhere to nowhere, on any scale.
        vague = 0.0 < sd <= float(se)
        fields[f"sd_{name}_ci95"] = None if vague else log_interval(sd, float(se))
        remarks += [f"nearly singular fit: the SD of {name}s is below its standard error and stands alone"] * vague
        fields[f"share_{name}"] = sd**2 / total if known else None
    singular = tuple(f"{name}s" for name in ("rater", "pair") if fields[f"sd_{name}"] == 0.0)
    remark = joined(
        *(f"singular fit: the SD of {name} is estimated at 0" for name in singular),
        *(f"every {name} has one vote: the SD of {name}s is not identified and left out" for name in left_out),
        *remarks,
        few_units_warning(crossing),
    )
    return fields | {"singular": singular, "reason": remark}


def between_df(crossing: Crossing, left_out: tuple[str, ...]) -> int:
    """Return min(raters, pairs) - 1 over the factors in the model: what the preference, constant within both, rests on.

    With few raters or pairs the normal quantile makes the interval of the marginal rate too short.
    """
    sizes = {"rater": crossing.n_raters, "pair": crossing.n_pairs}
    return min(size for name, size in sizes.items() if name not in left_out or len(left_out) == 2) - 1


def coefficient(
    fit: LaplaceFit, which: int, *, df: int | None, method: str, reason: str | None, counts: Sizes
) -> Estimate:
    """Return a fixed effect with its Wald interval and p against 0; ``df`` None takes the normal distribution."""
    value, se = float(fit.beta[which]), math.sqrt(fit.settled_covariance[which, which])
    p_value = clamped_p(2 * _upper_tail(abs(value) / se, df))
    half = _quantile(df) * se
    ci95 = (value - half, value + half)
    return Estimate(method=method, estimate=value, ci95=ci95, se=se, df=df, p_value=p_value, reason=reason, **counts)


def _upper_tail(value: float, df: int | None) -> float:
    return float(stats.norm.sf(value) if df is None else stats.t.sf(value, df))


def _quantile(df: int | None) -> float:
    return float(stats.norm.ppf(_TAIL) if df is None else stats.t.ppf(_TAIL, df))


def log_interval(value: float, se: float) -> tuple[float, float] | None:
    """Return the Wald interval of a positive quantity on the log scale; none at 0."""
    if not (value > 0.0 and se > 0.0):
        return None
    # Capped: a vague SD would overflow, and an upper end of e^300 says the same.
    ratio = math.exp(min(stats.norm.ppf(_TAIL) * se / value, 300.0))
    return value / ratio, value * ratio


def average_over_normal(function: Callable[[np.ndarray], np.ndarray], sd: float) -> float:
    """Return E[function(sd Z)], Z standard normal, by the trapezoid rule on [-9, 9].

    The rule converges geometrically for analytic functions; with logistic curves up to an SD of 12 it is exact to about
    1e-12, which Gauss-Hermite nodes reach only for small SDs.
    """
    # The trapezoid rule converges geometrically for analytic integrands that vanish at the ends.
    nodes = np.linspace(-9.0, 9.0, 1201)
    weights = np.exp(-0.5 * nodes**2)
    return float(weights @ function(sd * nodes) / weights.sum())


def logistic_average(centre: float, sd: float) -> tuple[float, float, float]:
    """Return E[expit(centre + sd Z)] and its derivatives in ``centre`` and ``sd``."""
    # The limit: quadrature would divide by the SD below.
    if sd == 0.0:
        rate = float(special.expit(centre))
        return rate, rate * (1.0 - rate), 0.0

    def density(shift: np.ndarray) -> np.ndarray:
        rate = special.expit(centre + shift)
        return rate * (1.0 - rate)

    mean = average_over_normal(lambda shift: special.expit(centre + shift), sd)
    by_sd = average_over_normal(lambda shift: shift / sd * density(shift), sd)
    return mean, average_over_normal(density, sd), by_sd


def rate_estimate(
    fit: LaplaceFit,
    rows: np.ndarray,
    weights: np.ndarray,
    *,
    constant: float = 0.0,
    marginal: bool,
    null: float | None,
    df: int,
    method: str,
    reason: str | None,
    counts: Sizes,
) -> Estimate:
    """Return ``constant + sum_i w_i E[expit(row_i . beta + s Z)]`` with its delta-method interval on the logit scale.

    Parameters
    ----------
    fit : LaplaceFit
    rows : (m, k) float64
        Design rows.
    weights : (m,) float64
        Such that the sum is a probability.
    constant : float
    marginal : bool
        Integrate over both random effects, s^2 the sum of their variances; otherwise s = 0.
    null : float or None
        Value that the p-value tests; None for no test.
    df : int
        Degrees of freedom of the t distribution.
    """
    spread = math.hypot(fit.sd_rater, fit.sd_pair) if marginal else 0.0
    averages = np.array([logistic_average(float(row @ fit.beta), spread) for row in rows])
    value = constant + float(weights @ averages[:, 0])
    gradient = np.zeros(len(fit.beta) + 2)
    gradient[:-2] = (weights * averages[:, 1]) @ rows
    if spread > 0.0:
        # d hypot / d sd = sd / hypot: the rate depends on the two SDs through their sum of squares alone.
        gradient[-2:] = float(weights @ averages[:, 2]) * np.array([fit.sd_rater, fit.sd_pair]) / spread
    se = math.sqrt(gradient @ fit.settled_covariance @ gradient)
    # On the logit scale the interval stays within (0, 1), and near the borders is no longer symmetric.
    centre, width = float(special.logit(value)), se / (value * (1.0 - value))
    half = _quantile(df) * width
    ci95 = (float(special.expit(centre - half)), float(special.expit(centre + half)))
    if not (np.isfinite(centre) and ci95[0] < ci95[1]):
        no_interval = "no interval: the rate is at 0 or 1 to working precision"
        return Estimate(method=method, estimate=value, reason=no_interval, **counts)
    p_value = None if null is None else clamped_p(2 * _upper_tail(abs(centre - special.logit(null)) / width, df))
    return Estimate(method=method, estimate=value, ci95=ci95, se=se, df=df, p_value=p_value, reason=reason, **counts)
