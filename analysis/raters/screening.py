"""Careless answering: every rater under rules fixed before unblinding and symmetric in the arms.

``analysis.raters.screening_rules`` holds the rules; a ledger of exclusions stores their names and versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.raters.screening_rules import RULES, RaterVotes, votes_by_rater
from analysis.votes.criteria import one_a_trial
from analysis.votes.table import VoteTable

__all__ = ["RULES", "Screened", "flagged_raters", "screen"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Screened:
    """One rater under one rule: the value measured (None with its reason) and whether the rule flags it."""

    rater: str
    rule: str
    version: int
    value: float | None
    flagged: bool
    reason: str | None = None

    def as_json(self) -> dict:
        return {
            "rater": self.rater,
            "rule": self.rule,
            "version": self.version,
            "value": self.value,
            "flagged": self.flagged,
            "reason": self.reason,
        }


def screen(table: VoteTable, rules: Iterable[Mapping] | None = None, *, criterion: str | None = None) -> list[Screened]:
    """Measure every rater under every rule, on one vote a trial.

    Parameters
    ----------
    table : VoteTable
        All current votes, checks and repeats included; rows already excluded are screened like the others.
    rules : iterable of {"rule": id, "parameters": {...}}, or None
        The frozen plan's rules; None takes every rule with its defaults.
    criterion : str or None
        The headline criterion, whose vote stands for a trial that was answered by several.

    Returns
    -------
    list of Screened
        By rule, then by rater in the order of the labels.

    Raises
    ------
    ValueError
        If a rule or a parameter is unknown.
    """
    chosen = [{"rule": name} for name in RULES] if rules is None else list(rules)
    raters = votes_by_rater(one_a_trial(table, criterion))
    return [row for entry in chosen for row in _screened(raters, entry)]


def _screened(raters: RaterVotes, entry: Mapping) -> list[Screened]:
    if entry.get("rule") not in RULES:
        raise ValueError(f"there is no screening rule {entry.get('rule')!r}; the rules are {', '.join(RULES)}")
    rule = RULES[entry["rule"]]
    measured = rule.measure(raters, rule.parameters(entry.get("parameters")))
    return [
        Screened(
            rater=raters.table.raters[code],
            rule=rule.id,
            version=rule.version,
            value=None if np.isnan(value) else float(value),
            flagged=bool(flagged),
            reason="this rater's votes carry nothing to measure" if np.isnan(value) else None,
        )
        for code, value, flagged in zip(raters.present, measured.value, measured.flagged, strict=True)
    ]


def flagged_raters(screened: Iterable[Screened]) -> dict[str, tuple[str, ...]]:
    """Return the raters to leave out and the rules that say so; a rule that never excludes alone only joins others."""
    grounds: dict[str, list[Screened]] = {}
    for row in screened:
        if row.flagged:
            grounds.setdefault(row.rater, []).append(row)
    return {
        rater: tuple(row.rule for row in rows)
        for rater, rows in sorted(grounds.items())
        if any(RULES[row.rule].excludes_alone for row in rows)
    }
