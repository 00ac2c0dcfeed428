"""Which comparisons are decided together, and what that takes from the level of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["LEVEL", "Family", "family_of", "holm_families"]

# Of the whole family of comparisons, not of each.
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Family:
    """The comparisons that are decided together.

    Parameters
    ----------
    scope : {"single", "primary", "all", "criteria"}
        The only comparison; the plan's primary one, tested alone; all comparisons (and criteria, where the plan names
        no headline criterion) as one family; the comparisons by the criteria beside the planned headline.
    size : int
    step : int or None
        Of a family that is adjusted by Holm: what this comparison's level is divided by. Bonferroni divides by the
        size.
    p_adjusted : float or None
        Holm's p-value of this comparison, which depends on those of the others.
    """

    scope: Literal["single", "primary", "all", "criteria"] = "single"
    size: int = 1
    step: int | None = None
    p_adjusted: float | None = None

    @property
    def share(self) -> float:
        """The level of this one comparison."""
        return LEVEL / (self.step or self.size)

    def adjusted(self, p_value: float) -> float:
        """Return a comparison's p-value with what the family adds to it."""
        return min(1.0, self.size * p_value) if self.p_adjusted is None else self.p_adjusted


def holm_families(p_values: Sequence[float | None]) -> list[Family]:
    """Return the family of each comparison by the criteria beside the headline, adjusted by Holm.

    The p-value and the interval of a comparison say the same: one that is settled has the level of its own step, the
    others have that of the first step that failed, at which all of them stop.

    Parameters
    ----------
    p_values : sequence of float or None
        Of each comparison against 1/2, looks counted; None where there is no test, which counts all the same.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    size = len(p_values)
    if size < 2:
        return [Family(scope="criteria", size=1)] * size
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    steps, highest = [size] * size, 0.0
    adjusted: list[float | None] = [None] * size
    failed: int | None = None
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (size - rank) * p))
        if highest > LEVEL and failed is None:
            failed = size - rank
        steps[place], adjusted[place] = failed or size - rank, highest
    return [
        Family(scope="criteria", size=size, step=step, p_adjusted=p) for step, p in zip(steps, adjusted, strict=True)
    ]


def family_of(number: int, *, has_primary: bool, criteria: int = 1) -> Sequence[Family]:
    """Return the family of each of so many comparisons, the primary one first where the plan names it."""
    size = number * criteria
    whole = Family(scope="all", size=size) if size > 1 else Family()
    if not has_primary or size == 1:
        return [whole] * number
    return [Family(scope="primary"), *[whole] * (number - 1)]
