"""Planning: the precision and power that raters, pairs and votes buy, and the ceiling that raters cannot lift."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy import stats

from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.planning.variance_components import VarianceComponents, estimated_components, expected_components
from analysis.preference.rate import headline

__all__ = [
    "PowerPlan",
    "SimulatedPower",
    "VarianceComponents",
    "estimated_components",
    "expected_components",
    "plan_power",
    "plan_power_from",
    "raters_with_places",
    "simulate_power",
]

# Beyond any study: what needs more is told as out of reach instead of searched for without end.
_MOST_UNITS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class PowerPlan:
    """What a design buys under the headline's test.

    Parameters
    ----------
    raters, pairs : int
        As planned.
    raters_with_places : int
        Of the raters those who can vote before every pair has its votes; see :func:`raters_with_places`.
    votes : int
        Of the raters with places.
    rate : float
        The expected preference rate.
    se, df, half_width : float
        Standard error, degrees of freedom and half the width of the 95 % interval.
    power : float
        Probability of p <= significance.
    ceiling_se, ceiling_power : float
        The same with infinitely many raters on these pairs: s_p / sqrt(P) is left.
    raters_needed, pairs_needed : int or None
        Smallest number that reaches the target power, the other as planned; None with ``reason`` where none does.
    votes_per_pair_needed : int or None
        What the raters needed give each pair: no fewer places may be planned for them.
    """

    raters: int
    raters_with_places: int
    pairs: int
    votes: int
    rate: float
    se: float
    df: int
    half_width: float
    power: float
    ceiling_se: float
    ceiling_power: float
    target_power: float
    raters_needed: int | None
    votes_per_pair_needed: int | None
    pairs_needed: int | None
    components: VarianceComponents
    method: str
    reason: str | None = None

    def as_json(self) -> dict:
        return asdict(self)


_METHOD = (
    "Var(rate) = s_r^2 / R + s_p^2 / P + s_e^2 / N, each pair seen equally often, equal loads; "
    "two-sided t test of 1/2 on min(R, P) - 1 df (noncentral t)"
)


def raters_with_places(*, raters: int, pairs: int, votes_per_rater: int, votes_per_pair: int | None) -> int:
    """Return how many of the raters can vote before every pair has its votes; at least two, below them nothing is told.

    ``votes_per_pair`` is where a pair is full; None for pairs that take any number of votes.

    Examples
    --------
    >>> raters_with_places(raters=60, pairs=100, votes_per_rater=20, votes_per_pair=4)
    20
    """
    if votes_per_pair is None:
        return raters
    return max(2, min(raters, pairs * votes_per_pair // min(votes_per_rater, pairs)))


def plan_power(
    scenario: Scenario, *, votes_per_pair: int | None = None, target_power: float = 0.8, significance: float = 0.05
) -> PowerPlan:
    """Return precision and power of a design whose votes follow a scenario.

    Parameters
    ----------
    scenario : Scenario
        At least two raters and two pairs, one load for all raters; see :func:`expected_components` for the behaviour
        that it may state.
    votes_per_pair : int, optional
        Where a pair is full: raters beyond it find nothing to vote on and buy no power.
    target_power, significance : float in (0, 1)

    Examples
    --------
    >>> plan = plan_power(Scenario(raters=50, pairs=30))
    >>> plan.power < plan.ceiling_power
    True

    References
    ----------
    Westfall, Kenny and Judd, Journal of Experimental Psychology: General 143 (2014).
    """
    load = scenario.votes_per_rater
    if isinstance(load, np.ndarray):
        raise ValueError("votes_per_rater differs between raters; a plan takes one number for all")
    return plan_power_from(
        expected_components(scenario),
        raters=scenario.raters,
        pairs=scenario.pairs,
        votes_per_rater=load,
        votes_per_pair=votes_per_pair,
        target_power=target_power,
        significance=significance,
    )


def plan_power_from(
    components: VarianceComponents,
    *,
    raters: int,
    pairs: int,
    votes_per_rater: int | None = None,
    votes_per_pair: int | None = None,
    target_power: float = 0.8,
    significance: float = 0.05,
) -> PowerPlan:
    """Return ``plan_power`` for components from elsewhere, for example a pilot's ``estimated_components``."""
    _check_design(raters, pairs, votes_per_rater, votes_per_pair, target_power, significance)
    design = _Design(components, votes_per_rater, votes_per_pair, significance)
    placed = design.placed(raters, pairs)
    se, df = design.se(placed, pairs), min(placed, pairs) - 1
    # What is left with endlessly many raters: these pairs are a sample too.
    ceiling_se = math.sqrt(components.pair / pairs)
    ceiling = design.power_at(ceiling_se, pairs - 1)
    # Not asked where the ceiling is lower: the search would end at its limit.
    raters_needed = _smallest(lambda r: design.power(r, pairs), target_power) if ceiling >= target_power else None
    # More pairs have more places, too.
    pairs_needed = _smallest(lambda p: design.power(design.placed(raters, p), p), target_power)
    return PowerPlan(
        raters=raters,
        raters_with_places=placed,
        pairs=pairs,
        votes=placed * design.load(pairs),
        rate=components.rate,
        se=se,
        df=df,
        half_width=float(stats.t.ppf(0.975, df) * se),
        power=design.power(placed, pairs),
        ceiling_se=ceiling_se,
        ceiling_power=ceiling,
        target_power=target_power,
        raters_needed=raters_needed,
        votes_per_pair_needed=raters_needed and math.ceil(raters_needed * design.load(pairs) / pairs),
        pairs_needed=pairs_needed,
        components=components,
        method=_METHOD,
        reason="; ".join(
            [
                *design.places_remark(raters, pairs),
                *_plan_remark(components, raters, pairs, target_power, ceiling, raters_needed, pairs_needed),
            ]
        ),
    )


def _check_design(
    raters: int, pairs: int, load: int | None, per_pair: int | None, target: float, significance: float
) -> None:
    if min(raters, pairs) < 2:
        raise ValueError(f"raters is {raters} and pairs {pairs}; the crossed interval needs at least 2 of each")
    if load is not None and not 1 <= load <= pairs:
        raise ValueError(f"votes_per_rater is {load}; it must be 1..{pairs}, the number of pairs")
    if per_pair is not None and per_pair < 1:
        raise ValueError(f"votes_per_pair is {per_pair}; it must be 1 or more")
    for name, value in (("target_power", target), ("significance", significance)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} is {value}; it must be in (0, 1)")


@dataclass(frozen=True)
class _Design:
    components: VarianceComponents
    votes_per_rater: int | None
    votes_per_pair: int | None
    significance: float

    def load(self, pairs: int) -> int:
        return pairs if self.votes_per_rater is None else min(self.votes_per_rater, pairs)

    def placed(self, raters: int, pairs: int) -> int:
        return raters_with_places(
            raters=raters, pairs=pairs, votes_per_rater=self.load(pairs), votes_per_pair=self.votes_per_pair
        )

    def places_remark(self, raters: int, pairs: int) -> list[str]:
        """Say that raters are beyond the places, with the remedy."""
        placed, load = self.placed(raters, pairs), self.load(pairs)
        if placed == raters or self.votes_per_pair is None:
            return []
        return [
            f"more raters than places: {pairs} pairs (votes per pair: {self.votes_per_pair}) are full after {placed} "
            f"of {raters} raters; plan {placed} raters or {math.ceil(raters * load / pairs)} votes per pair"
        ]

    def se(self, raters: int, pairs: int) -> float:
        parts = self.components
        residual = parts.residual / (raters * self.load(pairs))
        return math.sqrt(parts.rater / raters + parts.pair / pairs + residual)

    def power(self, raters: int, pairs: int) -> float:
        return self.power_at(self.se(raters, pairs), min(raters, pairs) - 1)

    def power_at(self, se: float, df: int) -> float:
        """Two-sided power of a t test; without any spread left it is certain, unless the rate is 1/2."""
        effect = abs(self.components.rate - 0.5)
        if se <= 0.0:
            return 1.0 if effect > 0 else self.significance
        critical = stats.t.isf(self.significance / 2, df)
        # Capped, for scipy's noncentral t fails far out; the power there is near 1 in any case.
        shift = min(effect / se, 30.0)
        upper = stats.nct.sf(critical, df, shift)
        # The other tail is below the normal one beyond the shift, 1e-15 here; scipy computes some of these as NaN.
        return float(upper if shift > 8.0 else upper + stats.nct.cdf(-critical, df, shift))


def _smallest(power: Callable[[int], float], target: float) -> int | None:
    """Smallest number of units, 2 or more, with power at the target; power rises with the number."""
    high = 2
    while power(high) < target:
        high *= 2
        if high > _MOST_UNITS:
            return None
    low = max(high // 2, 2)
    while low < high:
        middle = (low + high) // 2
        if power(middle) >= target:
            high = middle
        else:
            low = middle + 1
    return high


def _plan_remark(
    components: VarianceComponents,
    raters: int,
    pairs: int,
    target: float,
    ceiling: float,
    raters_needed: int | None,
    pairs_needed: int | None,
) -> list[str]:
    words = [f"with {pairs} pairs no number of raters lifts the power above {ceiling:.3f}"]
    if raters_needed is None:
        words.append(f"so {target:g} needs more pairs: too few pairs cannot be bought back with raters")
    if pairs_needed is None:
        words.append(f"with {raters} raters no number of pairs reaches {target:g}")
    if components.rate == 0.5:
        words.append("the expected rate is 1/2, so there is nothing to find")
    return words


@dataclass(frozen=True, kw_only=True)
class SimulatedPower:
    """Power of the headline by simulation, with its Monte-Carlo error, and what the intervals did.

    Parameters
    ----------
    power, power_se : float
    coverage : float
        Share of the intervals that hold the true marginal rate.
    mean_half_width : float
        Over the repetitions with an interval.
    without_interval : int
        Repetitions whose votes gave none.
    """

    power: float
    power_se: float
    coverage: float
    mean_half_width: float
    without_interval: int
    repetitions: int
    true_rate: float


def simulate_power(scenario: Scenario, *, repetitions: int = 200, significance: float = 0.05) -> SimulatedPower:
    """Simulate a planned design, incomplete or unbalanced as it may be, and test each table with the headline.

    Parameters
    ----------
    scenario : Scenario
        Its ``seed`` starts the whole simulation; every repetition has its own stream.
    repetitions : int
        At least 10; a power of 0.8 from 200 has a Monte-Carlo error of 0.03.
    """
    if repetitions < 10:
        raise ValueError(f"repetitions is {repetitions}; at least 10 are needed to say anything")
    truth = marginal_rates(scenario).ties_split
    # Hashed from the scenario's seed: consecutive ones would share tables with a scenario of the next seed.
    seeds = np.random.SeedSequence(scenario.seed).generate_state(repetitions)
    rejected, held, widths = 0, 0, []
    for seed in seeds:
        result = headline(simulate_votes(replace(scenario, seed=int(seed))).comparison("robust", "vanilla"))
        if result.ci95 is None or result.p_value is None:
            continue
        low, high = result.ci95
        widths.append((high - low) / 2)
        held += low <= truth <= high
        rejected += result.p_value <= significance
    power = rejected / repetitions
    return SimulatedPower(
        power=power,
        # Not 0 at a power of 0 or 1: a finite number of simulations cannot be certain.
        power_se=math.sqrt(max(power * (1 - power), 1 / repetitions) / repetitions),
        coverage=held / max(len(widths), 1),
        mean_half_width=float(np.mean(widths)) if widths else float("inf"),
        without_interval=repetitions - len(widths),
        repetitions=repetitions,
        true_rate=truth,
    )
