"""What a plan may hold and what it buys: exclusion rules, power."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

__all__ = [
    "PlanRule",
    "looks_price_of",
    "power_of",
    "rule_captions",
    "rule_faults",
    "rule_problems",
    "rules_described",
    "rules_known",
]

# The one rule set is analysis' own; it is loaded when asked for, because it brings scipy.


@dataclass(frozen=True)
class PlanRule:
    """A screening rule that a plan may name, with its limits where the plan gives none."""

    name: str
    caption: str
    defaults: Mapping[str, float]


# Parameters that are shares or probabilities; all others are counts, times or deviations.
_SHARES = {"share", "significance"}


def rules_known() -> list[PlanRule]:
    """Return the screening rules there are."""
    from analysis.raters.screening import RULES

    return [PlanRule(name, caption, RULES[name].defaults) for name, caption in rule_captions().items()]


def rule_captions() -> dict[str, str]:
    """Return what each screening rule measures, with its defaults filled in."""
    from analysis.raters.screening import RULES

    return {name: rule.described() for name, rule in RULES.items()}


def rules_described(rules: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what each rule of a plan looks at, with its limits."""
    from analysis.raters.screening import RULES

    return [RULES[rule["rule"]].described(rule.get("parameters")) for rule in rules]


def rule_faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (parameter, what is wrong and its remedy) for one rule of a plan, whose name is known."""
    given = entry.get("parameters") or {}
    return [(name, fault) for name, value in given.items() if (fault := _parameter_fault(name, value))]


def _parameter_fault(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "its parameters are numbers"
    if name in _SHARES and not 0 <= value <= 1:
        return f"{name} is {value:g}; it must lie between 0 and 1"
    return f"{name} is {value:g}; it must be 0 or more" if value < 0 else ""


def rule_problems(rules: Any) -> list[str]:
    """Return what is wrong with a plan's exclusion rules, each with its remedy."""
    if not isinstance(rules, list):
        return ['the exclusion rules are not a list; write [{"rule": "too_fast", "parameters": {}}]']
    problems = [problem for entry in rules for problem in _rule_problems(entry)]
    names = [entry["rule"] for entry in rules if isinstance(entry, dict) and isinstance(entry.get("rule"), str)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    return problems + [f"rule {name!r} is listed more than once; keep one" for name in twice]


def _rule_problems(entry: Any) -> list[str]:
    from analysis.raters.screening import RULES

    name = entry.get("rule") if isinstance(entry, dict) else entry
    if not isinstance(entry, dict) or not isinstance(name, str) or name not in RULES:
        return [f"there is no exclusion rule {name!r}; the rules are {', '.join(RULES)}"]
    try:
        RULES[name].parameters(entry.get("parameters"))
    except (ValueError, TypeError) as error:
        return [str(error)]
    return [f"rule {name!r}: {fault}" for _, fault in rule_faults(entry)]


def power_of(
    *,
    raters: int,
    pairs: int,
    votes_per_rater: int,
    preference: float,
    criteria: int = 1,
    votes_per_pair: int | None = None,
) -> dict[str, Any]:
    """Return precision and power of a design under the headline's test, with the ceiling that pairs set.

    ``votes_per_rater`` are those by one criterion, and so are ``votes_per_pair``, where a pair is full: raters beyond
    the places count for nothing. The headline of several is tested alone; ``power_of_others`` is that
    of the first of the others under Holm, the least that any of them has.
    """
    from analysis.planning.power import plan_power
    from analysis.planning.simulation import Scenario

    load = min(votes_per_rater, pairs)
    scenario = Scenario(raters=raters, pairs=pairs, votes_per_rater=load, preference=preference)
    plan = partial(plan_power, scenario, votes_per_pair=votes_per_pair)
    others = plan(significance=0.05 / (criteria - 1)).power if criteria > 1 else None
    return plan().as_json() | {"power_of_others": others}


def looks_price_of(
    *, raters: int, pairs: int, votes_per_rater: int, preference: float, looks: int | None = None, spending: Any = None
) -> dict[str, Any]:
    """Return what looks cost beside one look: a planned number of them, or any number under the confidence sequence.

    ``raters`` are those with places.
    """
    from analysis.planning.looks import price_of_any_looks, price_of_looks
    from analysis.planning.simulation import Scenario
    from analysis.planning.variance_components import expected_components

    load = min(votes_per_rater, pairs)
    scenario = Scenario(raters=raters, pairs=pairs, votes_per_rater=load, preference=preference)
    design = {"raters": raters, "pairs": pairs, "votes_per_rater": load}
    components = expected_components(scenario)
    if looks is None:
        return price_of_any_looks(components, **design).as_json()
    return price_of_looks(components, **design, looks=looks, spending=spending).as_json()
