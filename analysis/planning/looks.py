"""What looking more than once costs: boundary and sample size of spending, power of the confidence sequence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from analysis.inference.spending import SpendingType, information_inflation, nominal_levels
from analysis.planning.power import plan_power_from
from analysis.planning.variance_components import VarianceComponents
from analysis.preference.sequential import anytime_p_values

__all__ = ["LooksPrice", "price_of_any_looks", "price_of_looks"]


@dataclass(frozen=True, kw_only=True)
class LooksPrice:
    """The price of looks beside one look at the end.

    Parameters
    ----------
    looks : int or None
        Their number; None for any number.
    first_level, last_level : float or None
        The p-values that the first and the last look must not exceed.
    inflation : float or None
        How many times the information (raters) of one look the same power needs.
    power : float
        Power of the design at its end with these looks. With spending a lower bound: earlier looks only add to it.
    power_of_one_look : float
    method : str
    """

    looks: int | None
    first_level: float | None
    last_level: float | None
    inflation: float | None
    power: float
    power_of_one_look: float
    method: str

    def as_json(self) -> dict:
        return asdict(self)


def price_of_looks(
    components: VarianceComponents,
    *,
    raters: int,
    pairs: int,
    votes_per_rater: int | None = None,
    looks: int,
    spending: SpendingType = "obrien_fleming",
    target_power: float = 0.8,
    significance: float = 0.05,
) -> LooksPrice:
    """Return the price of equally spaced looks by alpha spending.

    Examples
    --------
    >>> parts = VarianceComponents(rate=0.6, rater=0.02, pair=0.01, residual=0.2)
    >>> price = price_of_looks(parts, raters=50, pairs=60, looks=5)
    >>> price.power < price.power_of_one_look, round(price.inflation, 3)
    (True, 1.025)
    """
    if looks < 2:
        raise ValueError(f"looks is {looks}; the price is that of two or more")
    fractions = [number / looks for number in range(1, looks + 1)]
    # The last look tests at less than the level: earlier looks have spent the rest.
    levels = nominal_levels(fractions, level=significance, spending=spending)
    plan = partial(
        plan_power_from,
        components,
        raters=raters,
        pairs=pairs,
        votes_per_rater=votes_per_rater,
        target_power=target_power,
    )
    one, last = (plan(significance=level) for level in (significance, float(levels[-1])))
    return LooksPrice(
        looks=looks,
        first_level=float(levels[0]),
        last_level=float(levels[-1]),
        inflation=information_inflation(fractions, level=significance, power=target_power, spending=spending),
        power=last.power,
        power_of_one_look=one.power,
        method=f"{looks} equally spaced looks, alpha spending of Lan and DeMets ({spending})",
    )


def price_of_any_looks(
    components: VarianceComponents,
    *,
    raters: int,
    pairs: int,
    votes_per_rater: int | None = None,
    significance: float = 0.05,
    repetitions: int = 400,
    seed: int = 0,
) -> LooksPrice:
    """Return the price of any number of looks: the power of the confidence sequence over rater means, by simulation.

    Rater means are drawn normal around the rate, with the variance that raters and their votes give them; the pairs are
    these pairs, as they are to the sequence.
    """
    load = pairs if votes_per_rater is None else min(votes_per_rater, pairs)
    spread = math.sqrt(components.rater + components.residual / load)
    # Cut to what a mean of votes can be: the sequence's guarantee rests on values in [0, 1].
    draws = np.clip(np.random.default_rng(seed).normal(components.rate, spread, (repetitions, raters)), 0.0, 1.0)
    found = anytime_p_values(draws) <= significance
    one = plan_power_from(
        components, raters=raters, pairs=pairs, votes_per_rater=votes_per_rater, significance=significance
    )
    return LooksPrice(
        looks=None,
        first_level=None,
        last_level=None,
        inflation=None,
        power=float(np.mean(found)),
        power_of_one_look=one.power,
        method=f"any number of looks, confidence sequence over rater means for these pairs ({repetitions} simulations)",
    )
