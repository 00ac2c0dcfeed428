"""The criteria of a draft: what is wrong with them, and how they are frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from survey.models import Study

__all__ = [
    "MOST_CRITERIA",
    "blocks_of",
    "criteria_config",
    "criteria_plan_problems",
    "criteria_problems",
    "criterion_faults",
]

_FIELDS = ("key", "question", "definition", "is_tie_allowed")
# More questions about one pair than anybody keeps apart.
MOST_CRITERIA = 8


def criteria_problems(criteria: Any) -> list[str]:
    """Return what is wrong with a list of criteria, each with its remedy."""
    example = '[{"key": "detail", "question": "Which image has better detail?"}]'
    if not isinstance(criteria, list) or not all(isinstance(entry, dict) for entry in criteria):
        return [f"the criteria are not a list of objects; write {example}"]
    problems = [
        f"criterion {number}: {text}"
        for number, entry in enumerate(criteria, start=1)
        for _, text in criterion_faults(entry)
    ]
    if len(criteria) > MOST_CRITERIA:
        problems.append(f"{len(criteria)} criteria are too many to keep apart; ask at most {MOST_CRITERIA}")
    keys = [entry["key"] for entry in criteria if isinstance(entry.get("key"), str)]
    problems += [f"two criteria have the key {key!r}" for key, n in Counter(keys).items() if n > 1]
    return problems


def criterion_faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (field, what is wrong with it and its remedy) for one criterion."""
    faults = []
    key, question, definition = entry.get("key"), entry.get("question"), entry.get("definition", "")
    if not (isinstance(key, str) and key.isidentifier() and len(key) <= 40):
        faults.append(("key", "it needs a key of at most 40 letters, digits and _, such as detail"))
    if not (isinstance(question, str) and question.strip() and len(question) <= 300):
        faults.append(("question", "it needs a question of at most 300 characters: what raters are asked"))
    if not (isinstance(definition, str) and len(definition) <= 2000):
        faults.append(("definition", "its definition is a text of at most 2000 characters, or left out"))
    if not isinstance(entry.get("is_tie_allowed", True), bool):
        faults.append(("is_tie_allowed", "is_tie_allowed is true or false"))
    unknown = [str(name) for name in entry if name not in _FIELDS]
    return faults + [(name, f"it has {name}; it may have {', '.join(_FIELDS)}") for name in unknown]


def criteria_plan_problems(study: Study) -> list[str]:
    """Return where the rest of a draft does not fit its criteria, which are right in themselves."""
    keys = [entry["key"] for entry in study.criteria]
    problems = []
    if study.headline_criterion and study.headline_criterion not in keys:
        known = f"one of {', '.join(keys)}" if keys else "empty: the study asks one question"
        problems.append(f"the headline criterion is {study.headline_criterion!r}; it must be {known}")
    if study.criteria_design == Study.CriteriaDesign.BLOCKS and study.trials_per_session < len(keys):
        problems.append(
            f"{study.trials_per_session} trials a session are fewer than the {len(keys)} blocks; raise the number"
        )
    return problems


def blocks_of(study: Study) -> int:
    """Return how many blocks a visit of a draft has: one for each of several criteria, or one alone."""
    return len(study.criteria) if study.criteria_design == Study.CriteriaDesign.BLOCKS and study.criteria else 1


def criteria_config(study: Study) -> dict[str, Any]:
    """Return the criteria as they are frozen; nothing in a study of one question, whose digest stays as it was."""
    if not study.criteria or criteria_problems(study.criteria):
        return {}  # a draft with problems has a preview all the same
    listed = [
        {
            "key": entry["key"],
            "question": entry["question"],
            "definition": entry.get("definition", ""),
            "is_tie_allowed": entry.get("is_tie_allowed", True),
        }
        for entry in study.criteria
    ]
    headline = study.headline_criterion or listed[0]["key"]
    return {"criteria": {"design": study.criteria_design, "headline": headline, "list": listed}}
