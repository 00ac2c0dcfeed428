"""What a frozen version asks of a pair: one question, or several criteria, each with its question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BLOCKS",
    "TOGETHER",
    "Criterion",
    "criteria_of",
    "design_of",
    "has_ties",
    "headline_of",
    "judged_by",
    "keys_asked",
    "slot_criteria",
]

BLOCKS, TOGETHER = "blocks", "together"


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One question about a pair. Its key is empty where a study asks one question alone."""

    key: str
    question: str
    definition: str = ""
    is_tie_allowed: bool = True


def criteria_of(config: Mapping[str, Any]) -> tuple[Criterion, ...]:
    """Return what a version asks, in the order of its plan: at least one criterion.

    The only one of a study has no key, so that its votes read like those of any study with one question.
    """
    listed = config.get("criteria", {}).get("list", [])
    if not listed:
        ties = config["trial"]["are_ties_allowed"]
        return (Criterion(key="", question=config["texts"]["question"], is_tie_allowed=ties),)
    if len(listed) == 1:
        return (Criterion(**listed[0] | {"key": ""}),)
    return tuple(Criterion(**entry) for entry in listed)


def design_of(config: Mapping[str, Any]) -> str:
    """Return ``blocks`` or ``together`` where a version asks several criteria, and an empty text where it asks one."""
    criteria = config.get("criteria", {})
    return criteria["design"] if len(criteria.get("list", [])) > 1 else ""


def headline_of(config: Mapping[str, Any]) -> str:
    """Return the key of the criterion that the plan tests alone; empty where there is one."""
    return config["criteria"]["headline"] if design_of(config) else ""


def keys_asked(config: Mapping[str, Any], trial_criterion: str) -> tuple[str, ...]:
    """Return the criteria that a trial asks: that of its block, else all there are."""
    return (trial_criterion,) if trial_criterion else tuple(criterion.key for criterion in criteria_of(config))


def slot_criteria(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the criteria that each wanted vote of a pair is wanted by: in blocks each apart, else all at once."""
    return tuple(criterion.key for criterion in criteria_of(config)) if design_of(config) == BLOCKS else ("",)


def has_ties(config: Mapping[str, Any]) -> bool:
    """Return whether any question of a version may be answered by a tie."""
    return any(criterion.is_tie_allowed for criterion in criteria_of(config))


def judged_by(config: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the criterion that says how practice went: the headline where it was asked, else the first asked."""
    headline = headline_of(config)
    return headline if headline in keys else keys[0]
