"""Which comparisons a report makes, in which order, and which of the two arms each rate is of."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from analysis.ranking.results import Ranking
from analysis.votes.table import VoteTable

__all__ = ["directions_of", "is_planned_first"]


def directions_of(
    table: VoteTable, arm: str | None, baseline: str | None, ranking: Ranking | None
) -> list[tuple[str, str]]:
    """Return (arm, baseline) of every comparison: the one asked for first, else that of the two strongest of many."""
    pairs = list(combinations(sorted(table.arms), 2))
    for name in (arm, baseline):
        if name is not None and name not in table.arms:
            raise ValueError(f"arm {name!r} is not in the votes; the arms are {', '.join(table.arms)}")
    if arm is not None and arm == baseline:
        raise ValueError(f"arm and baseline are both {arm!r}; name two arms")

    def directed(one: str, other: str) -> tuple[str, str]:
        is_turned = other == arm or one == baseline
        return (other, one) if is_turned else (one, other)

    def rank(names: tuple[str, str]) -> tuple[bool, bool]:
        asked = {name for name in (arm, baseline) if name is not None}
        return (not asked <= set(names), not (asked & set(names)))

    if arm is None and baseline is None and len(table.arms) > 2 and ranking is not None:
        strongest = _two_strongest(ranking)
        pairs = [strongest, *(names for names in pairs if set(names) != set(strongest))] if strongest else pairs
    return sorted((directed(one, other) for one, other in pairs), key=rank)


def _two_strongest(ranking: Ranking) -> tuple[str, str] | None:
    found = sorted((arm for arm in ranking.arms if arm.rank is not None), key=lambda arm: (arm.component, arm.rank))
    alike = [arm.arm for arm in found if arm.component == found[0].component]
    return (alike[0], alike[1]) if len(alike) > 1 else None


def is_planned_first(directions: list[tuple[str, str]], plan: Mapping) -> bool:
    """Return whether the first comparison is the plan's primary one: named by it, not by who asks for the report."""
    return bool(directions) and set(directions[0]) == {plan.get("arm"), plan.get("baseline")}
