"""Equivalence of two arms: two one-sided tests of the headline rate against 1/2 plus and minus a margin."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scipy import special, stats

from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import clamped_p, on_logit_scale
from analysis.preference.rate import headline
from analysis.votes.table import Comparison

__all__ = ["Equivalence", "equivalence_test", "tost"]

# One-sided each, which makes the interval that answers the same question one of 90 %.
SIGNIFICANCE_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Outcome of the two one-sided tests.

    Parameters
    ----------
    result : Estimate
        The headline rate and its 95 % interval; its p-value is the larger of the two one-sided ones.
    margin : float
    interval90 : (float, float) or None
        The interval that lies within 1/2 +- margin exactly when both tests reject at 5 %.
    is_equivalent : bool or None
        None when no test was possible.
    """

    result: Estimate
    margin: float | None
    interval90: tuple[float, float] | None = None
    is_equivalent: bool | None = None


def tost(comparison: Comparison, *, margin: float | None = 0.05) -> Estimate:
    """Return the equivalence test of the headline as a result; see ``equivalence_test`` for its parts."""
    return equivalence_test(comparison, margin=margin).result


def equivalence_test(comparison: Comparison, *, margin: float | None = 0.05) -> Equivalence:
    """Test whether the headline rate lies within 1/2 +- margin.

    Parameters
    ----------
    comparison : Comparison
    margin : float in (0, 0.5)
        Largest difference from 1/2 that counts as none, fixed before the data. 0, None or another value is refused: a
        test that is not significant never shows that there is no difference.

    References
    ----------
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987).
    """
    method = "two one-sided t tests of the headline rate (TOST)"
    # At 1/2 every rate is equivalent, at 0 none.
    if margin is None or not 0.0 < margin < 0.5:
        reason = f"the margin is {margin}; an equivalence test needs one in (0, 0.5), fixed before the data are seen"
        return Equivalence(result=refused(method, reason), margin=None)
    first = headline(comparison)
    method = f"{method} against 0.5 +- {margin:g}"
    # Without an error there is nothing to test; the headline's own reason stands.
    if first.ci95 is None:
        return Equivalence(result=replace(first, method=f"{method}; {first.method}"), margin=margin)
    p_value, interval = _one_sided(first, margin)
    equivalent = p_value <= SIGNIFICANCE_LEVEL
    verdict = "equivalence shown" if equivalent else "equivalence not shown, which is not evidence of a difference"
    words = f"{method}, 90 % interval [{interval[0]:.4f}, {interval[1]:.4f}]: {verdict}; {first.method}"
    result = replace(first, method=words, p_value=p_value)
    return Equivalence(result=result, margin=margin, interval90=interval, is_equivalent=equivalent)


def _one_sided(first: Estimate, margin: float) -> tuple[float, tuple[float, float]]:
    """Larger one-sided p and the 90 % interval, on the scale that the headline's 95 % interval was made on."""
    (rate, se, df), low, high = first.t_terms(), 0.5 - margin, 0.5 + margin
    logit = on_logit_scale(rate, se, df)
    if logit:
        se = se / (rate * (1 - rate))
        rate, low, high = special.logit(rate), special.logit(low), special.logit(high)
    # Both one-sided tests must reject: the larger p decides (Schuirmann 1987).
    p_value = max(stats.t.sf((rate - low) / se, df), stats.t.cdf((rate - high) / se, df))
    half = stats.t.ppf(1 - SIGNIFICANCE_LEVEL, df) * se
    lower, upper = (float(special.expit(b) if logit else b) for b in (rate - half, rate + half))
    return clamped_p(p_value), (lower, upper)
