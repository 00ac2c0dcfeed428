"""The part of the report on careless answers, and on what the headline becomes under other choices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.preference.rate import headline
from analysis.preference.sensitivity import sensitivity
from analysis.raters.screening import Screened, flagged_raters
from analysis.raters.screening_rules import RULES
from analysis.votes.selection import Selection
from analysis.votes.table import Comparison

__all__ = ["planned_rules", "screening_section", "sensitivity_section"]


def planned_rules(plan: Mapping) -> list[dict] | None:
    """Return the screening rules that the plan fixed, or None where it fixed none.

    Raises
    ------
    ValueError
        If ``exclusion_rules`` is not a list of rule names or of ``{"rule": name, "parameters": {...}}``.
    """
    given = plan.get("exclusion_rules")
    if not given:
        return None
    if not isinstance(given, (list, tuple)):
        raise ValueError(
            f"the plan's exclusion_rules is {given!r}; give a list of rule names or of rules with parameters"
        )
    return [{"rule": entry} if isinstance(entry, str) else dict(entry) for entry in given]


def screening_section(screened: list[Screened], rules: list[dict] | None) -> dict:
    """Return how many raters each rule flags; the raters themselves stand under ``screening``."""
    names = list(dict.fromkeys(row.rule for row in screened))
    parameters = {entry["rule"]: entry.get("parameters") for entry in rules or []}
    summary = []
    for name in names:
        rows = [row for row in screened if row.rule == name]
        summary.append(
            {
                "rule": name,
                "version": RULES[name].version,
                "description": RULES[name].described(parameters.get(name)),
                "measured": sum(row.value is not None for row in rows),
                "flagged": sum(row.flagged for row in rows),
            }
        )
    return {
        "is_planned": rules is not None,
        "flagged_raters": len(flagged_raters(screened)),
        "rules": summary,
    }


def sensitivity_section(selection: Selection, names: tuple[str, str], screened: list[Screened]) -> list[dict]:
    """Return the headline under every variant; raters flagged by the screening rules are left out in one of them."""
    comparison = selection.with_excluded().comparison(*names)
    variants = [
        {"name": variant.name, "description": variant.description, **variant.result.as_json()}
        for variant in sensitivity(comparison)
    ]
    kept = selection.table.comparison(*names).only(("site",))
    left_out = flagged_raters(screened)
    result = headline(_without(kept, selection.table.raters, left_out))
    remark = f"{len(left_out)} flagged raters left out" if left_out else "no rater is flagged: the same as the headline"
    words = "raters flagged by the screening rules left out"
    variants.append(
        {"name": "flagged_left_out", "description": words, **result.with_reason(remark).as_json()},
    )
    return variants


def _without(comparison: Comparison, labels: tuple[str, ...], left_out: Mapping[str, object]) -> Comparison:
    codes = np.array([code for code, label in enumerate(labels) if label in left_out], dtype=np.int64)
    return comparison.rows(~np.isin(comparison.rater, codes))
