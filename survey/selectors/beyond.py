"""The steps that follow a choice: what each asks, in the study's words or the pages' own."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from survey.beyond import beyond_of
from survey.selectors.texts import reasons_in, words_in

__all__ = ["beyond_steps"]


def beyond_steps(config: dict[str, Any], language: str) -> list[dict[str, Any]]:
    """Return the steps in their order; none where a study asks for the choice alone.

    Of ``acceptable`` the second option stands for the chosen image, whichever that is; a choice of none goes without.
    """
    asked, words = beyond_of(config), _grades(beyond_of(config).grades) | _questions() | words_in(config, language)
    steps = []
    if asked.grades:
        options = [{"value": grade, "caption": words[f"grade_{grade}"]} for grade in range(1, asked.grades + 1)]
        steps.append({"name": "strength", "question": words["strength"], "options": options})
    if asked.is_acceptable_asked:
        options = [{"value": name, "caption": words[f"acceptable_{name}"]} for name in ("both", "one", "neither")]
        steps.append({"name": "acceptable", "question": words["acceptable"], "options": options})
    if asked.reasons:
        options = [{"value": entry["key"], "caption": entry["caption"]} for entry in reasons_in(config, language)]
        several = {"is_several": True, "is_required": asked.are_reasons_required}
        steps.append({"name": "reasons", "question": words["reasons"], "options": options} | several)
    return steps


def _grades(grades: int) -> dict[str, str]:
    three = (_("Slightly"), _("Clearly"), _("Much"))
    named = (_("Barely"), *three, _("Very much")) if grades == 5 else three
    return {f"grade_{place}": caption for place, caption in enumerate(named, start=1)}


def _questions() -> dict[str, str]:
    return {
        "strength": _("How much better is it?"),
        "acceptable": _("Which of the images are good enough?"),
        "acceptable_both": _("Both"),
        "acceptable_one": _("Only the chosen one"),
        "acceptable_neither": _("Neither"),
        "reasons": _("Why? Choose what applies."),
    }
