"""What a plan may hold and what it buys: exclusion rules, power."""

from __future__ import annotations

from typing import Any

__all__ = ["looks_price_of", "power_of", "rule_captions", "rule_problems"]

# The one rule set is analysis' own; it is loaded when asked for, because it brings scipy.


def rule_captions() -> dict[str, str]:
    """Return what each screening rule measures, with its defaults filled in."""
    from analysis.raters.screening import RULES

    return {name: rule.description.format(**rule.defaults) for name, rule in RULES.items()}


def rule_problems(rules: Any) -> list[str]:
    """Return what is wrong with a plan's exclusion rules, each with its remedy."""
    if not isinstance(rules, list):
        return ['the exclusion rules are not a list; write [{"rule": "too_fast", "parameters": {}}]']
    if not rules:
        return []
    from analysis.raters.screening import RULES

    problems = []
    for entry in rules:
        name = entry.get("rule") if isinstance(entry, dict) else entry
        if not isinstance(entry, dict) or not isinstance(name, str) or name not in RULES:
            problems.append(f"there is no exclusion rule {name!r}; the rules are {', '.join(RULES)}")
            continue
        try:
            given = RULES[name].parameters(entry.get("parameters"))
            if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in given.values()):
                problems.append(f"rule {name!r}: its parameters are numbers")
        except (ValueError, TypeError) as error:
            problems.append(str(error))
    return problems


def power_of(*, raters: int, pairs: int, votes_per_rater: int, preference: float) -> dict[str, Any]:
    """Return precision and power of a design under the headline's test, with the ceiling that pairs set."""
    from analysis.planning.power import plan_power
    from analysis.planning.simulation import Scenario

    load = min(votes_per_rater, pairs)
    return plan_power(Scenario(raters=raters, pairs=pairs, votes_per_rater=load, preference=preference)).as_json()


def looks_price_of(*, raters: int, pairs: int, votes_per_rater: int, preference: float) -> dict[str, Any]:
    """Return what looking at any time costs: the power of the confidence sequence beside that of one look."""
    from analysis.planning.looks import price_of_any_looks
    from analysis.planning.simulation import Scenario
    from analysis.planning.variance_components import expected_components

    load = min(votes_per_rater, pairs)
    scenario = Scenario(raters=raters, pairs=pairs, votes_per_rater=load, preference=preference)
    components = expected_components(scenario)
    return price_of_any_looks(components, raters=raters, pairs=pairs, votes_per_rater=load).as_json()
