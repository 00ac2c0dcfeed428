"""What the trial page is set up with: for raters, and for the preview of a draft."""

from __future__ import annotations

from typing import Any

from survey.criteria import BLOCKS, TOGETHER, design_of
from survey.geometry import Room
from survey.selectors.beyond import beyond_steps
from survey.selectors.texts import criteria_in
from survey.views.beyond import script_step, worded
from survey.views.texts import trial_texts

__all__ = ["trials_context"]


def trials_context(
    config: dict[str, Any],
    *,
    language: str,
    urls: dict[str, str],
    room: Room,
    practice: int,
    order: list[str],
    first: dict[str, Any] | None = None,
    are_pairs_served: bool = False,
) -> dict[str, Any]:
    """Return what the page needs; ``order`` is that of the criteria in this visit.

    The images of the ``first`` trial load while the page asks which trials it may show: the trial is issued then, not
    by this page.
    """
    asked = {criterion.key: criterion for criterion in criteria_in(config, language)}
    criteria = [asked[key] for key in order]
    setup = {
        "urls": urls,
        "room": room.as_json(),
        "criteria": [
            {"key": one.key, "ties": one.is_tie_allowed, "definition": one.definition, "question": one.question}
            for one in criteria
        ],
        "blocks": len(criteria) if design_of(config) == BLOCKS else 0,
        "zoom": config["trial"]["is_zoom_allowed"],
        "minimumExposureMs": config["trial"]["minimum_exposure_ms"],
        "breakEvery": config["plan"]["break_every"],
        "practice": practice,
        "first": first,
        "pairs": are_pairs_served,
        "texts": worded(trial_texts(), config, language),
    }
    steps = beyond_steps(config, language)
    if steps:
        setup["beyond"] = [script_step(step) for step in steps]
    return {
        "setup": setup,
        "beyond": steps,
        "rows": criteria if design_of(config) == TOGETHER else [],
        "ties": any(criterion.is_tie_allowed for criterion in criteria),
        "is_kept": config["trial"].get("is_wording_kept", False),
        "has_definitions": any(criterion.definition for criterion in criteria),
    }
