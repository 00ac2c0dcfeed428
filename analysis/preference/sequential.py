"""Looking early: confidence sequences that stay valid at every look, on rater means."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.inference.crossing import Crossing, crossing_of, site_lack
from analysis.inference.estimate import Estimate, refused
from analysis.inference.intervals import LEVEL, clamped_p, joined
from analysis.preference.rate import rater_rates
from analysis.votes.table import Comparison

__all__ = [
    "RunningSequence",
    "anytime_p_values",
    "betting_sequence",
    "confidence_sequence",
    "running_sequence",
]

# Candidate means; the interval is widened by one step at each end, so the grid never makes it too narrow.
_GRID = np.linspace(0.0, 1.0, 1001)
# Bets are truncated at half of what would bankrupt them.
_TRUNCATION = 0.5


@dataclass(frozen=True, kw_only=True)
class RunningSequence:
    """The estimate and its confidence sequence after each rater, for a plot.

    Parameters
    ----------
    raters : (T,) int64
        1..T, in the order in which the raters finished.
    estimate, low, high : (T,) float64
        Mean of the rater means so far and the running intersection of the intervals, in [0, 1].
    p_value : (T,) float64
        Anytime-valid p against 1/2, non-increasing.
    """

    raters: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray

    def __len__(self) -> int:
        return len(self.raters)


def confidence_sequence(comparison: Comparison, *, least_votes: int = 1, level: float = LEVEL) -> Estimate:
    """Return the rater-averaged preference rate with an interval that is valid however often one looked.

    Each rater who finished gives one number in [0, 1], the mean score (ties split); the hedged betting sequence bounds
    the mean of that number over raters. Pairs are these pairs. Votes of one rater may depend on each other in any way.

    Parameters
    ----------
    comparison : Comparison
    least_votes : int
        Raters with fewer votes have not finished and are left out (and counted): while a study runs, set it to the
        planned number, because a mean that can still change is not a settled observation.
    level : float in (0, 1)
        Confidence; above 0.95 where several comparisons are to hold together.

    Returns
    -------
    Estimate
        ``p_value`` is anytime-valid against 1/2; no standard error or df belongs to this interval.

    References
    ----------
    Waudby-Smith and Ramdas, JRSS B 86 (2024): the hedged capital process with predictable plug-in bets.
    """
    method = (
        "rater-averaged preference rate, ties split, hedged betting confidence sequence over rater means in order of "
        "completion (valid at every look; pairs fixed)"
    )
    crossing = crossing_of(comparison)
    if not len(comparison):
        return refused(method, "no votes", **crossing.counts())
    if lack := site_lack(crossing):
        return refused(method, lack, **crossing.counts())
    finished = _finished(comparison, least_votes)
    left_out = crossing.n_raters - crossing_of(finished).n_raters
    remark = f"{left_out} raters with fewer than {least_votes} votes left out" if left_out else None
    crossing = crossing_of(finished)
    if not len(finished):
        return refused(method, joined("no rater has finished", remark), **crossing.counts())
    path = running_sequence(finished, level=level)
    low, high = float(path.low[-1]), float(path.high[-1])
    estimate = float(path.estimate[-1])
    if not low < high:
        apart = "no interval: the intervals of successive looks do not meet, so the raters are not exchangeable"
        return Estimate(method=method, estimate=estimate, reason=joined(apart, remark), **crossing.counts())
    p_value = clamped_p(path.p_value[-1])
    return Estimate(
        method=method, estimate=estimate, ci95=(low, high), p_value=p_value, reason=remark, **crossing.counts()
    )


def _finished(comparison: Comparison, least_votes: int) -> Comparison:
    if least_votes <= 1:
        return comparison
    load = np.bincount(comparison.rater)
    return comparison.rows(load[comparison.rater] >= least_votes)


def running_sequence(comparison: Comparison, *, least_votes: int = 1, level: float = LEVEL) -> RunningSequence:
    """Return the path of the confidence sequence, one point a rater, in the order of each rater's last vote.

    That order is ``submitted_at``'s where the votes carry it for every row, else the row order. ``least_votes`` is that
    of ``confidence_sequence``.
    """
    comparison = _finished(comparison, least_votes)
    crossing = crossing_of(comparison)
    means = rater_rates(comparison.score, crossing)[_completion_order(comparison, crossing)]
    return betting_sequence(means, level=level)


def _completion_order(comparison: Comparison, crossing: Crossing) -> np.ndarray:
    """Raters by the time of their last vote; equal times (or none) fall back on the row."""
    last_row = np.zeros(crossing.n_raters, dtype=np.int64)
    last_row[crossing.rater] = np.arange(len(comparison))
    times = comparison.extra.get("submitted_at")
    if times is None or times.dtype.kind != "M" or np.isnat(times).any():
        return np.argsort(last_row, kind="stable")
    last_time = np.full(crossing.n_raters, np.iinfo(np.int64).min)
    # A rater joins the sequence with their last vote, when their mean no longer changes.
    np.maximum.at(last_time, crossing.rater, times.astype("datetime64[us]").astype(np.int64))
    return np.lexsort((last_row, last_time))


def betting_sequence(values: np.ndarray, *, level: float = LEVEL) -> RunningSequence:
    """Return the hedged betting confidence sequence for the mean of exchangeable values in [0, 1].

    Parameters
    ----------
    values : (T,) float64 in [0, 1]
        In the order of observation.
    level : float in (0, 1)

    Raises
    ------
    ValueError
        If a value is outside [0, 1]: the guarantee rests on the bounds.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) and not (values.min() >= 0.0 and values.max() <= 1.0):
        raise ValueError(f"values span [{values.min()}, {values.max()}]; a betting sequence needs them in [0, 1]")
    alpha = 1.0 - level
    bets = _plug_in_bets(values, alpha)
    low, high, null = (np.empty(len(values)) for _ in range(3))
    # In logarithms: wealth over hundreds of raters would overflow.
    gains, losses = np.zeros(len(_GRID)), np.zeros(len(_GRID))
    centre = len(_GRID) // 2
    for t, (value, bet) in enumerate(zip(values, bets, strict=True)):
        gains, losses = _wealth(value, bet, gains, losses)
        # Half the stake on each direction (hedged capital); the better one alone is a lower bound of the sum.
        wealth = np.maximum(gains, losses) + math.log(0.5)
        low[t], high[t] = _kept_interval(wealth, alpha)
        null[t] = wealth[centre]
    count = np.arange(1, len(values) + 1)
    return RunningSequence(
        raters=count,
        estimate=np.cumsum(values) / count,
        # Valid at all times at once, so what was excluded stays excluded.
        low=np.maximum.accumulate(low),
        high=np.minimum.accumulate(high),
        p_value=np.exp(np.minimum(0.0, -np.maximum.accumulate(null))) if len(values) else null,
    )


def anytime_p_values(paths: np.ndarray, *, level: float = LEVEL) -> np.ndarray:
    """Return the last p-value against 1/2 of many sequences at once: what ``betting_sequence`` ends with in each.

    Parameters
    ----------
    paths : (B, T) float64 in [0, 1]

    Returns
    -------
    (B,) float64
    """
    bets = np.stack([_plug_in_bets(values, 1.0 - level) for values in paths])
    # At the null of 1/2 the cap is the same on both sides.
    above = np.minimum(bets, 2.0 * _TRUNCATION) * (paths - 0.5)
    wealth = np.maximum(np.cumsum(np.log1p(above), axis=1), np.cumsum(np.log1p(-above), axis=1)) + math.log(0.5)
    return np.exp(np.minimum(0.0, -wealth.max(axis=1)))


def _plug_in_bets(values: np.ndarray, alpha: float) -> np.ndarray:
    """lambda_t = sqrt(2 log(2 / alpha) / (sigma^2_{t-1} t log(1 + t))), from the values before t."""
    count = np.arange(1, len(values) + 1)
    # One imaginary value of 1/2 with variance 1/4 keeps the first bets finite.
    mean = (0.5 + np.cumsum(values)) / (count + 1)
    variance = (0.25 + np.cumsum((values - mean) ** 2)) / (count + 1)
    # A bet may look at earlier values only, or the wealth would be no martingale.
    before = np.concatenate([[0.25], variance[:-1]]) if len(values) else variance
    return np.sqrt(2 * math.log(2 / alpha) / (before * count * np.log1p(count)))


def _wealth(value: float, bet: float, gains: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log wealth of betting that the mean is above and below each candidate, after one more value."""
    with np.errstate(divide="ignore"):
        above = np.minimum(bet, _TRUNCATION / _GRID)
        below = np.minimum(bet, _TRUNCATION / (1.0 - _GRID))
    return gains + np.log1p(above * (value - _GRID)), losses + np.log1p(-below * (value - _GRID))


def _kept_interval(wealth: np.ndarray, alpha: float) -> tuple[float, float]:
    """Candidates whose wealth stays below 1 / alpha; wealth is quasi-convex in the mean, so they are an interval."""
    kept = np.flatnonzero(wealth < -math.log(alpha))
    if not len(kept):
        lowest = int(np.argmin(wealth))
        return float(_GRID[lowest]), float(_GRID[lowest])
    return float(_GRID[max(kept[0] - 1, 0)]), float(_GRID[min(kept[-1] + 1, len(_GRID) - 1)])
