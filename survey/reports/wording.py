"""A frozen version in words that can stand in a paper: no rule names, placeholders or raw settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.report.parts.wording import key_in_words
from survey.criteria import criteria_of
from survey.services.study.plan import rules_described

__all__ = [
    "checks_in_words",
    "criterion_name",
    "provider_in_words",
    "question_shown",
    "questions_in_words",
    "rules_in_words",
    "sentence",
]

_PROVIDERS = {
    "open": "an open link",
    "personal": "personal links",
    "prolific": "Prolific",
    "mturk": "Amazon Mechanical Turk",
}
_CHECKS = {
    "repeat": ("pair shown again with sides swapped", "pairs shown again with sides swapped"),
    "identical": ("pair of identical images", "pairs of identical images"),
    "degraded": ("image against a spoilt copy of itself", "images against spoilt copies of themselves"),
}


def question_shown(question: str) -> str:
    """Return a question as raters read it, with what stands in a placeholder's place on each pair."""
    return question.replace("{class_name}", "[class of the pair]").replace("{prompt}", "[prompt of the pair]")


def criterion_name(key: str) -> str:
    """Return a criterion's key as a sentence holds it."""
    return key_in_words(key)


def questions_in_words(config: Mapping[str, Any]) -> str:
    """Return the question, or every criterion's with its name and definition, in quotation marks."""
    asked = criteria_of(config)
    if len(asked) == 1:
        return f'"{question_shown(asked[0].question)}"'
    return "; ".join(
        f'{criterion_name(criterion.key)}, "{question_shown(criterion.question)}"'
        + (f" ({criterion.definition})" if criterion.definition else "")
        for criterion in asked
    )


def provider_in_words(config: Mapping[str, Any]) -> str:
    """Return where raters come from."""
    return _PROVIDERS[config["recruitment"].get("provider") or "open"]


def sentence(told: str, *, empty: str = "not stated") -> str:
    """Return what a person wrote with one full stop behind it, or what stands for nothing."""
    return f"{told.strip().removesuffix('.') or empty}."


def rules_in_words(config: Mapping[str, Any]) -> list[str]:
    """Return what each exclusion rule of the plan looks at, with its limits."""
    return rules_described(config["analysis"]["exclusion_rules"])


def checks_in_words(config: Mapping[str, Any]) -> str:
    """Return how many checks a visit has, of which kind; an empty text where there are none."""
    counts = {kind: config["plan"][f"{kind}_trials"] for kind in _CHECKS}
    return ", ".join(f"{count} {_CHECKS[kind][count != 1]}" for kind, count in counts.items() if count)
