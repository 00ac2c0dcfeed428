"""Vote tables with known truth: raters and pairs that differ, position bias, ties, lapses, full and sparse designs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np
from scipy import special

from analysis.votes.table import LEFT, RIGHT, TIE, VoteTable

__all__ = ["Scenario", "marginal_rates", "simulate_votes", "write_simulated"]

_CHOICES = np.array(["left", "right", "tie"])
# Gauss-Hermite nodes for E expit(mean + sd Z): 64 of them leave an error below 1e-10 for sd up to 5.
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(64)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What generates the votes: logit P(i over j) = l_i - l_j + b x + rater effect + pair effect, x = +-1/2 by side.

    Parameters
    ----------
    raters, pairs : int
        Sizes, at least 1.
    votes_per_rater : int, (R,) int array or None
        Pairs that each rater sees, drawn without replacement; None crosses every rater with every pair.
    preference : float in (0, 1)
        Probability that a typical rater prefers ``robust`` to ``vanilla`` on a typical pair, ties and side apart.
    strengths : mapping of str to float, or None
        Log strengths of several arms instead of ``preference``; each vote compares two arms drawn at random.
    position_bias : float
        b, log-odds: the advantage of standing on the left minus that of standing on the right.
    tie_rate, lapse_rate : float in [0, 1]
        Probability of a tie; probability of an answer by a fair coin (left or right) instead of by preference.
    careless_share : float in [0, 1]
        Share of the raters who always lapse, quickly.
    sd_rater, sd_pair, sd_class : float
        Standard deviations on the log-odds scale of the raters', pairs' and classes' own preference for one arm.
    classes : int
        Classes; pair p has class p modulo ``classes``.
    left_share : float in [0, 1] or None
        Probability that the arm first in the alphabet stands on the left; None balances the sides within each rater.
    repeats : int
        Pairs that each rater sees a second time, sides swapped (``is_repeat`` true, at the end of the session).
    seed : int

    Raises
    ------
    ValueError
        If a size, probability or standard deviation is out of range.
    """

    raters: int = 20
    pairs: int = 50
    votes_per_rater: int | np.ndarray | None = None
    preference: float = 0.6
    strengths: Mapping[str, float] | None = None
    position_bias: float = 0.0
    tie_rate: float = 0.0
    lapse_rate: float = 0.0
    careless_share: float = 0.0
    sd_rater: float = 0.5
    sd_pair: float = 0.8
    sd_class: float = 0.0
    classes: int = 1
    left_share: float | None = None
    repeats: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("raters", "pairs", "classes"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("tie_rate", "lapse_rate", "careless_share"):
            _check(name, getattr(self, name), 0.0 <= getattr(self, name) <= 1.0, "in [0, 1]")
        for name in ("sd_rater", "sd_pair", "sd_class"):
            _check(name, getattr(self, name), 0.0 <= getattr(self, name) <= 5.0, "in [0, 5] log-odds")
        _check("preference", self.preference, 0.0 < self.preference < 1.0, "in (0, 1)")
        if self.left_share is not None:
            _check("left_share", self.left_share, 0.0 <= self.left_share <= 1.0, "in [0, 1], or None")
        if self.strengths is not None:
            _check("strengths", len(self.strengths), len(self.strengths) >= 2, "two arms or more")
        loads = self.loads()
        inside = len(loads) == self.raters and loads.min() >= 1 and loads.max() <= self.pairs
        _check(
            "votes_per_rater", self.votes_per_rater, inside, f"1..{self.pairs} pairs for each of {self.raters} raters"
        )
        _check("repeats", self.repeats, 0 <= self.repeats <= loads.min(), f"0..{loads.min()}, the smallest load")

    def loads(self) -> np.ndarray:
        """Return how many different pairs each rater sees, (R,) int64."""
        load = self.pairs if self.votes_per_rater is None else self.votes_per_rater
        return np.broadcast_to(np.asarray(load, dtype=np.int64), np.shape(load) or (self.raters,))

    def log_strengths(self) -> dict[str, float]:
        """Return the arms' log strengths, sorted by name."""
        strengths = self.strengths or {"robust": float(special.logit(self.preference)), "vanilla": 0.0}
        return dict(sorted(strengths.items()))


def _check(name: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}; it must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class MarginalRates:
    """The true rates of one arm over another, averaged over raters, pairs, classes and both sides."""

    decisive: float
    ties_split: float


def marginal_rates(scenario: Scenario, arm: str = "robust", baseline: str = "vanilla") -> MarginalRates:
    """Return the rates that an unbiased estimator tends to under sides shown equally often.

    Returns
    -------
    MarginalRates
        ``decisive``: E over raters and pairs of P(arm chosen | no tie); ``ties_split``: the same with ties as 1/2.
    """
    strengths = scenario.log_strengths()
    centre = strengths[arm] - strengths[baseline]
    spread = np.sqrt(scenario.sd_rater**2 + scenario.sd_pair**2 + scenario.sd_class**2)
    sides = centre + scenario.position_bias * np.array([0.5, -0.5])
    chosen = special.expit(sides[:, None] + spread * _NODES) @ _NODE_WEIGHTS / _NODE_WEIGHTS.sum()
    # Careless raters lapse always, the others now and then.
    lapse = 1.0 - (1.0 - scenario.lapse_rate) * (1.0 - scenario.careless_share)
    attentive, ties = float(chosen.mean()), scenario.tie_rate
    decisive = (1 - lapse) * (1 - ties) * attentive + lapse * 0.5
    return MarginalRates(
        decisive=decisive / ((1 - lapse) * (1 - ties) + lapse),
        ties_split=decisive + (1 - lapse) * ties * 0.5,
    )


@dataclass
class _Draws:
    """The columns of a table while it is being drawn."""

    rater: np.ndarray
    pair: np.ndarray
    first: np.ndarray
    second: np.ndarray
    first_left: np.ndarray
    is_repeat: np.ndarray
    position: np.ndarray
    choice: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int8))


def simulate_votes(scenario: Scenario) -> VoteTable:
    """Draw a vote table; the same scenario gives the same table.

    Returns
    -------
    VoteTable
        With extra columns ``class_label``, ``response_ms``, ``position``, ``is_repeat``, ``check_kind``, ``session``.

    Examples
    --------
    >>> table = simulate_votes(Scenario(raters=3, pairs=4, seed=1))
    >>> len(table), table.arms
    (12, ('robust', 'vanilla'))
    """
    rng = np.random.default_rng(scenario.seed)
    draws = _design(scenario, rng)
    lapsed, hasty = _lapses(scenario, draws, rng)
    draws.choice = _choices(scenario, draws, lapsed, rng)
    # Log-normal, as response times are: medians of about 2.4 s, and 0.25 s for careless raters.
    response = np.exp(rng.normal(np.where(hasty, 5.5, 7.8), np.where(hasty, 0.3, 0.6)))
    raters = _labels("r", scenario.raters)
    session = np.char.replace(np.asarray(raters), "r", "s")[draws.rater]
    class_label = np.asarray(_labels("class", scenario.classes))[draws.pair % scenario.classes]
    return VoteTable(
        raters=raters,
        pairs=_labels("p", scenario.pairs),
        arms=tuple(scenario.log_strengths()),
        rater=draws.rater,
        pair=draws.pair,
        arm_left=np.where(draws.first_left, draws.first, draws.second),
        arm_right=np.where(draws.first_left, draws.second, draws.first),
        choice=draws.choice,
        extra={
            "class_label": class_label,
            "response_ms": np.round(response),
            "position": draws.position.astype(np.float64),
            "is_repeat": draws.is_repeat,
            "check_kind": np.where(draws.is_repeat, "repeat", ""),
            "session": session,
        },
    )


def _labels(prefix: str, count: int) -> tuple[str, ...]:
    """Labels whose alphabetical order is their number's."""
    width = len(str(count - 1))
    return tuple(f"{prefix}{number:0{width}d}" for number in range(count))


def _design(scenario: Scenario, rng: np.random.Generator) -> _Draws:
    """Who sees which pair with which arms on which side, in the order shown."""
    loads = scenario.loads()
    rater = np.repeat(np.arange(scenario.raters), loads)
    pair = _assigned_pairs(scenario.pairs, loads, rng)
    arms = len(scenario.log_strengths())
    first = rng.integers(arms, size=len(rater)) if arms > 2 else np.zeros(len(rater), dtype=np.int64)
    second = (first + rng.integers(1, arms, size=len(rater))) % arms
    # Arms in one order: which of them stands left is drawn apart, below.
    first, second = np.minimum(first, second), np.maximum(first, second)
    position = np.arange(len(rater)) - np.repeat(np.cumsum(loads) - loads, loads)
    first_left = _sides(scenario, loads, position, rng)
    is_repeat = np.zeros(len(rater), dtype=bool)
    again = np.flatnonzero(position < scenario.repeats)
    order = np.argsort(np.concatenate([rater, rater[again]]), kind="stable")

    def with_repeats(column: np.ndarray, repeated: np.ndarray) -> np.ndarray:
        return np.concatenate([column, repeated])[order]

    return _Draws(
        rater=with_repeats(rater, rater[again]),
        pair=with_repeats(pair, pair[again]),
        first=with_repeats(first, first[again]),
        second=with_repeats(second, second[again]),
        # Sides are swapped when a pair comes again: who always clicks left must not look consistent.
        first_left=with_repeats(first_left, ~first_left[again]),
        is_repeat=with_repeats(is_repeat, ~is_repeat[again]),
        position=1 + with_repeats(position, position[again] + loads[rater[again]]),
    )


def _assigned_pairs(pairs: int, loads: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of ``loads[r]`` different pairs for each rater, drawn in blocks of raters to bound the memory."""
    block = max(1, 4_000_000 // pairs)
    drawn = []
    for start in range(0, len(loads), block):
        load = loads[start : start + block]
        shuffled = rng.permuted(np.broadcast_to(np.arange(pairs), (len(load), pairs)), axis=1)
        drawn.append(shuffled[np.arange(pairs) < load[:, None]])
    return np.concatenate(drawn)


def _sides(scenario: Scenario, loads: np.ndarray, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if scenario.left_share is not None:
        return rng.random(len(position)) < scenario.left_share
    # The pairs are in random order already: alternating sides from a random start balances each rater within one vote.
    start = np.repeat(rng.integers(2, size=len(loads)), loads)
    return (position + start) % 2 == 0


def _lapses(scenario: Scenario, draws: _Draws, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    careless = rng.random(scenario.raters) < scenario.careless_share
    hasty = careless[draws.rater]
    return hasty | (rng.random(len(draws.rater)) < scenario.lapse_rate), hasty


def _choices(scenario: Scenario, draws: _Draws, lapsed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    advantage = _advantage(scenario, draws, rng) + scenario.position_bias * np.where(draws.first_left, 0.5, -0.5)
    # A lapse is a coin, without any pull of arm or side.
    advantage[lapsed] = 0.0
    first_wins = rng.random(len(advantage)) < special.expit(advantage)
    # Won and on the left, or lost and on the right: the left image was chosen.
    choice = np.where(first_wins == draws.first_left, LEFT, RIGHT)
    tied = ~lapsed & (rng.random(len(advantage)) < scenario.tie_rate)
    return np.where(tied, TIE, choice).astype(np.int8)


def _advantage(scenario: Scenario, draws: _Draws, rng: np.random.Generator) -> np.ndarray:
    """l_i - l_j with each unit's own deviations: SD sd / sqrt(2) per unit and arm makes contrasts of SD sd."""
    strengths = np.array(list(scenario.log_strengths().values()))
    advantage = strengths[draws.first] - strengths[draws.second]
    units = (
        (scenario.sd_rater, draws.rater, scenario.raters),
        (scenario.sd_pair, draws.pair, scenario.pairs),
        (scenario.sd_class, draws.pair % scenario.classes, scenario.classes),
    )
    for spread, index, count in units:
        # Per arm, so that three arms have contrasts that add up.
        own = rng.normal(0.0, spread / np.sqrt(2), size=(count, len(strengths)))
        advantage = advantage + own[index, draws.first] - own[index, draws.second]
    return advantage


def write_simulated(table: VoteTable, stream: TextIO) -> None:
    """Write a table as CSV under the names of the votes contract, one row a vote, in the table's row order."""
    names = ["rater", "pair", "arm_left", "arm_right", "choice", *table.extra]
    arms = np.asarray(table.arms)
    columns = [
        np.asarray(table.raters)[table.rater],
        np.asarray(table.pairs)[table.pair],
        arms[table.arm_left],
        arms[table.arm_right],
        _CHOICES[table.choice],
        *(_as_text(column) for column in table.extra.values()),
    ]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))


def _as_text(column: np.ndarray) -> np.ndarray:
    """Booleans as true and false, whole numbers without a decimal point, a missing number as nothing."""
    if column.dtype == bool:
        return np.where(column, "true", "false")
    if column.dtype.kind == "f":
        return np.array(["" if np.isnan(value) else f"{value:.15g}" for value in column])
    return column.astype(str)
