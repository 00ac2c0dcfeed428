"""Looking more than once: boundaries of a group-sequential test by alpha spending, looks as planned or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import optimize, stats

__all__ = [
    "SPENDING",
    "SpendingType",
    "boundaries",
    "crossing_probability",
    "information_inflation",
    "nominal_levels",
    "repeated_p_value",
    "spent",
]

SpendingType = Literal["obrien_fleming", "pocock"]
SPENDING: tuple[SpendingType, ...] = ("obrien_fleming", "pocock")

# Beyond this the normal tail is below 1e-15: a boundary there is never crossed.
_FARTHEST = 8.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(192)
# Looks closer than this in information cannot be told apart by the quadrature.
_LEAST_STEP = 1e-3
_LEVELS = np.geomspace(1e-12, 0.999, 100)


def spent(fraction: float, *, level: float = 0.05, spending: SpendingType = "obrien_fleming") -> float:
    """Return how much of a two-sided level is spent at an information fraction.

    Parameters
    ----------
    fraction : float in [0, 1]
        Information at the look over information at the planned end (raters who finished over raters planned, say).
    level : float in (0, 1)
    spending : {"obrien_fleming", "pocock"}
        ``4 (1 - Phi(z_{1 - level/4} / sqrt(t)))`` or ``level log(1 + (e - 1) t)``.

    Examples
    --------
    >>> round(spent(0.5), 5), spent(1.0)
    (0.00305, 0.05)

    References
    ----------
    Lan and DeMets, Biometrika 70 (1983), each side of the test with half the level.
    """
    if spending not in SPENDING:
        raise ValueError(f"spending is {spending!r}; it must be one of {', '.join(SPENDING)}")
    # More votes than planned: everything may be spent, and no more than that.
    if fraction >= 1.0:
        return level
    if fraction <= 0.0:
        return 0.0
    if spending == "pocock":
        return level * math.log1p((math.e - 1.0) * fraction)
    return float(4.0 * stats.norm.sf(stats.norm.isf(level / 4.0) / math.sqrt(fraction)))


def boundaries(
    fractions: Sequence[float], *, level: float = 0.05, spending: SpendingType = "obrien_fleming"
) -> np.ndarray:
    """Return the critical |z| of each look, so that all looks together reject a true null with the level spent.

    Parameters
    ----------
    fractions : sequence of float in (0, 1]
        Information fractions of the looks that were taken, increasing; they need not have been planned.

    Returns
    -------
    (K,) float64

    Raises
    ------
    ValueError
        If the fractions do not increase, by 0.001 at least, within (0, 1].

    Examples
    --------
    >>> boundaries([0.2, 0.4, 0.6, 0.8, 1.0]).round(2).tolist()
    [4.88, 3.36, 2.68, 2.29, 2.03]

    References
    ----------
    Armitage, McPherson and Rowe, JRSS A 132 (1969), for the recursion; Jennison and Turnbull (2000), chapter 19.
    """
    return np.array(_boundaries(_checked(fractions), float(level), spending))


def _checked(fractions: Sequence[float]) -> tuple[float, ...]:
    times = tuple(float(value) for value in fractions)
    steps = np.diff((0.0, *times))
    if not times or not (steps >= _LEAST_STEP - 1e-12).all() or times[-1] > 1.0 + 1e-12:
        raise ValueError(
            f"information fractions {list(times)}: give them increasing, 0.001 apart at least, within (0, 1]"
        )
    return times


@lru_cache(maxsize=4096)
def _boundaries(times: tuple[float, ...], level: float, spending: SpendingType) -> tuple[float, ...]:
    found: list[float] = []
    # The walk starts at zero for certain; from the first look on it is a density on the nodes.
    nodes, density = np.zeros(1), np.ones(1)
    before, used = 0.0, 0.0
    for time in times:
        budget = spent(time, level=level, spending=spending) - used
        step = math.sqrt(time - before)
        bound = _bound(nodes, density, step, math.sqrt(time), budget)
        found.append(bound)
        used += budget
        # Armitage, McPherson and Rowe (1969): the sub-density of paths that have not crossed, look by look.
        nodes, density = _carried(nodes, density, step, bound * math.sqrt(time))
        before = time
    return tuple(found)


def _bound(nodes: np.ndarray, density: np.ndarray, step: float, root: float, budget: float) -> float:
    """Return the |z| that a path still inside leaves with the probability of the budget."""

    def excess(bound: float) -> float:
        return _exit(nodes, density, step, bound * root)[2] - budget

    # A budget below the smallest tail has no root; such a look never stops.
    return _FARTHEST if excess(_FARTHEST) >= 0.0 else float(optimize.brentq(excess, 0.0, _FARTHEST, xtol=1e-10))


def _exit(
    nodes: np.ndarray, density: np.ndarray, step: float, limit: float, drift: float = 0.0
) -> tuple[float, float, float]:
    """Return the probabilities to leave above, below and at all."""
    above = float(density @ stats.norm.sf((limit - nodes - drift) / step))
    below = float(density @ stats.norm.cdf((-limit - nodes - drift) / step))
    return above, below, above + below


def _carried(
    nodes: np.ndarray, density: np.ndarray, step: float, limit: float, drift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return quadrature nodes within the limit and the (weighted) density of paths that are still inside."""
    ahead = limit * _NODES
    kernel = np.exp(-0.5 * ((ahead[:, None] - nodes[None, :] - drift) / step) ** 2) / (step * math.sqrt(2.0 * math.pi))
    return ahead, limit * _WEIGHTS * (kernel @ density)


def nominal_levels(
    fractions: Sequence[float], *, level: float = 0.05, spending: SpendingType = "obrien_fleming"
) -> np.ndarray:
    """Return the two-sided p-value that each look must not exceed."""
    return 2.0 * stats.norm.sf(boundaries(fractions, level=level, spending=spending))


def repeated_p_value(p_value: float, fractions: Sequence[float], *, spending: SpendingType = "obrien_fleming") -> float:
    """Return the smallest level at which the last look would reject: a p-value that counts all looks.

    Parameters
    ----------
    p_value : float in (0, 1]
        The fixed-sample p-value at the last look.

    References
    ----------
    Jennison and Turnbull, JRSS B 51 (1989): repeated confidence intervals and p-values.
    """
    times = _checked(fractions)
    # One look at the planned end is an ordinary test; interpolation would only add its own error.
    if times == (1.0,):
        return float(p_value)
    levels, nominal = _repeated_table(times, spending)
    return float(min(1.0, np.exp(np.interp(math.log(p_value), nominal, levels, right=0.0))))


@lru_cache(maxsize=64)
def _repeated_table(times: tuple[float, ...], spending: SpendingType) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of levels, and of the nominal level of the last look at each."""
    nominal = [2.0 * stats.norm.sf(_boundaries(times, float(level), spending)[-1]) for level in _LEVELS]
    # Interpolation needs an increasing table; quadrature may bend it in the last digits.
    return np.log(_LEVELS), np.maximum.accumulate(np.log(nominal))


def crossing_probability(drift: float, fractions: Sequence[float], bounds: Sequence[float]) -> float:
    """Return the probability that z leaves the bounds at some look, on the side of the drift.

    Parameters
    ----------
    drift : float
        Mean of z at information fraction 1.
    """
    nodes, density, before, crossed = np.zeros(1), np.ones(1), 0.0, 0.0
    for time, bound in zip(fractions, bounds, strict=True):
        step, gained, limit = math.sqrt(time - before), drift * (time - before), bound * math.sqrt(time)
        crossed += _exit(nodes, density, step, limit, gained)[0 if drift >= 0 else 1]
        nodes, density = _carried(nodes, density, step, limit, gained)
        before = time
    return crossed


def information_inflation(
    fractions: Sequence[float], *, level: float = 0.05, power: float = 0.8, spending: SpendingType = "obrien_fleming"
) -> float:
    """Return how many times the information of a single look the planned end needs for the same power.

    Examples
    --------
    >>> round(information_inflation([0.2, 0.4, 0.6, 0.8, 1.0]), 3)
    1.025
    """
    times = _checked(fractions)
    bounds = boundaries(times, level=level, spending=spending).tolist()
    single = (1.0,), (stats.norm.isf(level / 2.0),)
    alone = optimize.brentq(lambda drift: crossing_probability(drift, *single) - power, 0.0, 20.0)
    needed = optimize.brentq(lambda drift: crossing_probability(drift, times, bounds) - power, 0.0, 20.0)
    return float((needed / alone) ** 2)
