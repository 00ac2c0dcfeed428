"""Arms by their titles, `SDXL 1.0`, where people read; by their short names, `SDXL-1-0`, where programs do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.votes.table import VoteTable

__all__ = ["arm_titles", "renamed", "titled", "titled_votes", "with_words"]

# Where a report holds the name of an arm, or a list of them. Sentences are made anew instead: a name such as "baseline"
# or "a" is a word of theirs as well.
_NAMES = ("arm", "baseline", "other", "preferred", "conclusion", "arms")
# Facts of the study are told as they were stated.
_AS_STATED = ("study", "provenance")
# Mappings by arm.
_BY_ARM = ("image_metrics", "image_metrics_by_class", "image_metrics_seen")


def titled(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the report as people read it: each arm under its title, in values and sentences alike.

    Titles are those of ``report["study"]["arm_titles"]``; an arm without one keeps its name. ``report.json`` and the
    tables in CSV keep the names, which are those of the votes; the sentences with titles stand in ``report["titled"]``.

    >>> report = {"study": {"arm_titles": {"ours-v2": "ours v2"}}, "arm": "ours-v2"}
    >>> titled(report)["arm"]
    'ours v2'
    """
    titles = arm_titles(report["study"])
    if not titles:
        return report
    shown = renamed(report, titles)
    return with_words(shown, report["titled"]) if "titled" in report else shown


def titled_votes(table: VoteTable, report: Mapping[str, Any]) -> VoteTable:
    """Return the votes with the arms under their titles; codes and their order stay."""
    titles = arm_titles(report["study"])
    return replace(table, arms=tuple(titles.get(arm, arm) for arm in table.arms))


def arm_titles(study: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles that differ from the names of their arms, by name."""
    titles = study.get("arm_titles") or {}
    return {name: title for name, title in titles.items() if title and title != name}


def with_words(report: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report with other verdicts and texts: ``verdict``, ``comparisons``, ``criteria`` and ``text``."""
    changed = dict(report) | {
        "verdict": words["verdict"],
        "comparisons": _with_verdicts(report["comparisons"], words["comparisons"]),
        "text": {**report.get("text", {}), **words.get("text", {})},
    }
    if words["criteria"]:
        entries = zip(report["criteria"]["criteria"], words["criteria"], strict=True)
        criteria = [entry | {"comparisons": _with_verdicts(entry["comparisons"], said)} for entry, said in entries]
        changed["criteria"] = report["criteria"] | {"criteria": criteria}
    return changed


def _with_verdicts(comparisons: list[dict], verdicts: list[dict]) -> list[dict]:
    return [{**entry, "verdict": verdict} for entry, verdict in zip(comparisons, verdicts, strict=True)]


def renamed(report: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """Return the report with its arms renamed wherever it holds one by name; its sentences stay."""
    return {key: value if key in _AS_STATED else _entry(key, value, titles) for key, value in report.items()}


def _entry(key: str, value: Any, titles: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return titles.get(value, value) if key in _NAMES else value
    if isinstance(value, list | tuple):
        return type(value)(_entry(key, one, titles) for one in value)
    if not isinstance(value, Mapping):
        return value
    found = {inner: _entry(inner, one, titles) for inner, one in value.items()}
    return {titles.get(arm, arm): one for arm, one in found.items()} if key in _BY_ARM else found
