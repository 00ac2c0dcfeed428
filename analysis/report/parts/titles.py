"""Arms by their titles, `SDXL 1.0`, where people read; by their short names, `SDXL-1-0`, where programs do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from analysis.votes.table import VoteTable

__all__ = ["titled", "titled_votes"]

# What says of itself what it is, never an arm.
_WORDS = ("kind", "method", "schema", "study", "provenance", "rule")
# Mappings by arm.
_BY_ARM = ("image_metrics", "image_metrics_by_class")


def titled(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the report as people read it: each arm under its title, in values and sentences alike.

    Titles are those of ``report["study"]["arm_titles"]``; an arm without one keeps its name. ``report.json`` and the
    tables in CSV keep the names, which are those of the votes.

    >>> report = {"study": {"arm_titles": {"ours-v2": "ours v2"}}, "arm": "ours-v2", "text": "ours-v2 is preferred."}
    >>> titled(report)["text"]
    'ours v2 is preferred.'
    """
    titles = _titles(report)
    if not titles:
        return report
    names = "|".join(re.escape(name) for name in sorted(titles, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])")
    return _renamed(report, lambda text: pattern.sub(lambda found: titles[found[0]], text), titles)


def titled_votes(table: VoteTable, report: Mapping[str, Any]) -> VoteTable:
    """Return the votes with the arms under their titles; codes and their order stay."""
    titles = _titles(report)
    return replace(table, arms=tuple(titles.get(arm, arm) for arm in table.arms))


def _titles(report: Mapping[str, Any]) -> dict[str, str]:
    titles = report["study"].get("arm_titles") or {}
    return {name: title for name, title in titles.items() if title and title != name}


def _renamed(value: Any, said: Callable[[str], str], titles: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return said(value)
    if isinstance(value, list | tuple):
        return type(value)(_renamed(one, said, titles) for one in value)
    if not isinstance(value, Mapping):
        return value
    return {key: inner if key in _WORDS else _entry(key, inner, said, titles) for key, inner in value.items()}


def _entry(key: str, value: Any, said: Callable[[str], str], titles: Mapping[str, str]) -> Any:
    value = _renamed(value, said, titles)
    return {titles.get(arm, arm): inner for arm, inner in value.items()} if key in _BY_ARM and value else value
