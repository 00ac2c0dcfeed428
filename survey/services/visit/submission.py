"""What a browser submits for a trial: an answer to each question, with the times and the way the pair was shown."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from survey.beyond import beyond_of
from survey.criteria import criteria_of, keys_asked
from survey.exceptions import AnswersMismatch, BadSubmission
from survey.models import Vote

__all__ = ["Answer", "VoteSubmission", "answers_check"]

Choice = Vote.Choice
# A page may be left open over night; what is longer is no time that a browser measured.
_LONGEST_MS = 24 * 3600 * 1000
_PRESENTATION_KEYS = {
    "width_px",
    "height_px",
    "pixel_ratio",
    "layout",
    "rendition",
    "box",
    "scale",
    "waited_ms",
    "input",
    "zoom",
    "page_scale",
    "viewport",
    "hurried",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one question of a trial. ``criterion`` is empty in a study that asks one question."""

    criterion: str = ""
    choice: str
    acceptable: str | None = None
    strength: int | None = None
    reasons: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.choice not in {Choice.LEFT, Choice.RIGHT, Choice.TIE}:
            raise BadSubmission(f"choice is {self.choice!r}; it must be left, right or tie")


@dataclass(frozen=True, kw_only=True)
class VoteSubmission:
    """What a browser submits. Times in milliseconds of its own clock, from the moment both images were painted."""

    trial_id: uuid.UUID
    submission_key: uuid.UUID
    answers: Sequence[Answer]
    response_ms: float | None = None
    exposure_ms: float | None = None
    presentation: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("response_ms", "exposure_ms"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and 0 <= value <= _LONGEST_MS):
                raise BadSubmission(f"{name} is {value!r}; it must be 0 to {_LONGEST_MS} milliseconds")
        if unknown := set(self.presentation) - _PRESENTATION_KEYS:
            raise BadSubmission(f"presentation has {', '.join(sorted(unknown))}; it may have {_PRESENTATION_KEYS}")


def answers_check(answers: Sequence[Answer], config: dict[str, Any], *, trial_criterion: str) -> None:
    """Raise AnswersMismatch where the answers are not those to the questions of a trial, or to what follows them.

    Raises
    ------
    BadSubmission
        For a tie where there is none.
    """
    asked = keys_asked(config, trial_criterion)
    if sorted(answer.criterion for answer in answers) != sorted(asked):
        wanted = f"for each of the criteria {', '.join(asked)}" if asked[0] else "without a criterion"
        raise AnswersMismatch(f"this trial takes one answer {wanted}")
    has_ties = {criterion.key: criterion.is_tie_allowed for criterion in criteria_of(config)}
    for answer in answers:
        if answer.choice == Choice.TIE and not has_ties[answer.criterion]:
            where = f"criterion {answer.criterion}" if answer.criterion else "this study"
            raise BadSubmission(f"{where} has no ties; choose left or right")
        said = {name: getattr(answer, name) for name in ("choice", "acceptable", "strength", "reasons")}
        if problem := beyond_of(config).problem(**said):
            raise AnswersMismatch(problem)
