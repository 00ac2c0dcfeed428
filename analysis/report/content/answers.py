"""What raters said beyond the choice: acceptable images, graded preferences, reasons. Only where votes hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.preference.acceptable import acceptable_difference, acceptable_share
from analysis.preference.reasons import reason_shares
from analysis.regression.strength import graded, mean_grade, strength_mixed
from analysis.report.parts.table import MOST_WHOLE
from analysis.votes.columns import ANSWER_COLUMNS
from analysis.votes.table import Comparison, VoteTable

__all__ = ["answers_section"]


def answers_section(table: VoteTable, directions: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    """Return the report's ``answers``, or None where the study asked for the choice alone.

    Parameters
    ----------
    table : VoteTable
        The votes that count.
    directions : sequence of (arm, baseline)
        The comparisons in the report's order; of many, the first alone is modelled.
    """
    if not any(column.name in table.extra for column in ANSWER_COLUMNS):
        return None
    shown = directions if len(directions) <= MOST_WHOLE else directions[:1]
    return {
        "acceptable": _acceptable(table, shown) if "acceptable" in table.extra else None,
        "strength": ([_strength(table.comparison(*names)) for names in shown] if "strength" in table.extra else None),
        "reasons": _reasons(table) if "reasons" in table.extra else None,
    }


def _acceptable(table: VoteTable, directions: Sequence[tuple[str, str]]) -> dict[str, Any]:
    said = table.extra["acceptable"]
    return {
        "votes": {name: int(np.count_nonzero(said == name)) for name in ("both", "left", "right", "neither")},
        "arms": [{"arm": arm, "result": acceptable_share(table, arm).as_json()} for arm in table.arms],
        "differences": [
            {"arm": arm, "baseline": baseline, "result": acceptable_difference(table, arm, baseline).as_json()}
            for arm, baseline in directions
        ],
    }


def _strength(comparison: Comparison) -> dict[str, Any]:
    votes, grades = graded(comparison)
    counted = zip(*np.unique(grades, return_counts=True), strict=True)
    return {
        "arm": comparison.arm,
        "baseline": comparison.baseline,
        "counts": [{"grade": int(grade), "votes": int(number)} for grade, number in counted],
        "without_grade": len(comparison) - len(votes),
        "mean": mean_grade(comparison).as_json(),
        "model": strength_mixed(comparison).as_json(),
    }


def _reasons(table: VoteTable) -> dict[str, Any]:
    try:
        shares = reason_shares(table)
    except ValueError as error:
        return {"rows": [], "reason": str(error)}
    rows = [
        {"reason": entry.reason, "arm": entry.arm or None, "votes": entry.votes, "result": entry.result.as_json()}
        for entry in shares
    ]
    return {"rows": rows, "reason": None if rows else "no vote gives a reason"}
