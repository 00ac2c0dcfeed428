"""The page of the exit questions: what its template needs of each question, typed answers and faults included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from survey.selectors.texts import texts_in
from survey.services.study.exit_questions import ExitQuestion

__all__ = ["ANSWER_FIELD", "questions_context"]

# Before the names of the fields: a question may be called what the page calls a field of its own.
ANSWER_FIELD = "answer_"


def questions_context(
    config: Mapping[str, Any], *, given: Mapping[str, Sequence[str]] | None = None, problems: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Return the questions of a version as the template shows them; ``problems`` names those that were refused."""
    asked = texts_in(config, get_language())["exit_questions"]
    return {"questions": [_shown(entry, (given or {}).get(entry["name"], ()), problems) for entry in asked]}


def _shown(entry: Mapping[str, Any], given: Sequence[str], problems: Mapping[str, str]) -> dict[str, Any]:
    question = ExitQuestion.of(entry)
    field = f"{ANSWER_FIELD}{question.name}"
    return {
        "field": field,
        "asked": question,
        "options": [(option, words, option in given) for option, words in entry["choices"]],
        "given": given[0] if given else "",
        "range": _range(question),
        "problem": _("Choose from the answers given.") if question.options else _what_fits(question),
        "is_refused": question.name in problems,
    }


def _what_fits(question: ExitQuestion) -> str:
    if question.kind == "number":
        return _range(question) or _("Give a number.")
    return _("Give at most {n} characters.").format(n=question.length)


def _range(question: ExitQuestion) -> str:
    low, high = (None if end is None else f"{end:.12g}" for end in (question.minimum, question.maximum))
    if low and high:
        return _("A number from {low} to {high}.").format(low=low, high=high)
    if low:
        return _("A number of at least {low}.").format(low=low)
    return _("A number of at most {high}.").format(high=high) if high else ""
