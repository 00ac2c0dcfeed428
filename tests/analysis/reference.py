"""Stored answers of the reference software; the scripts that wrote them lie beside them in tests/data/analysis."""

from __future__ import annotations

import json
from functools import cache

from tests.analysis.votes_factory import TABLES

NAMES = sorted(path.stem for path in TABLES.glob("*.csv"))


@cache
def answers(script: str) -> dict:
    """Return the answers of one script by table."""
    stored = json.loads((TABLES.parent / f"{script}.json").read_text(encoding="utf-8"))
    found = stored["answers"]
    if set(found) != set(NAMES):
        raise AssertionError(f"{script}.json answers {sorted(found)}, the tables are {NAMES}; run its script again")
    return found


def answered(script: str, model: str) -> list[str]:
    """Return the tables for which one model has an answer; at least ten, or the proof proves little."""
    names = [name for name in NAMES if answers(script)[name].get(model)]
    if len(names) < 10:
        raise AssertionError(f"only {len(names)} tables have answers of {model}")
    return names
