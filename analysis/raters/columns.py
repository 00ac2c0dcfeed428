"""The columns of the raters' table: one row a rater session. Answers to exit questions follow, one column each."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.votes.columns import Field

__all__ = ["ANSWER_PREFIX", "LEAST_CELL", "PHASES", "RATER_COLUMNS", "answer_columns"]

PHASES = ("main", "pilot", "rehearsal")
ANSWER_PREFIX = "answer_"
# A value that fewer raters share could point at one of them (the usual threshold of statistical offices is 3 to 10).
LEAST_CELL = 5

RATER_COLUMNS = (
    Field(name="rater", kind="string", required=True, description="Pseudonym of the rater, as in the votes table."),
    Field(name="session", kind="string", description="Opaque id of the rater session, as in the votes table."),
    Field(
        name="phase",
        kind="string",
        allowed=PHASES,
        description="Whether the session belongs to the main study, its pilot or a rehearsal.",
    ),
    Field(name="language", kind="string", description="Language of the pages that the rater read."),
    Field(name="layout", kind="string", description="How pairs were shown: row (side by side) or stack."),
    Field(name="viewport_width_px", kind="integer", unit="CSS px", description="Width of the rater's window."),
    Field(name="viewport_height_px", kind="integer", unit="CSS px", description="Height of the rater's window."),
    Field(name="pixel_ratio", kind="number", description="Screen pixels to one CSS pixel."),
    Field(name="input", kind="string", description="How most answers were given: key, mouse, touch or pen."),
    Field(name="minutes", kind="number", unit="min", description="From the consent to the last answer."),
    Field(name="votes", kind="integer", description="Ordinary votes: practice and checks left out."),
    Field(name="checks_passed", kind="integer", description="Attention checks answered as they should be."),
    Field(name="checks_failed", kind="integer", description="Attention checks answered otherwise."),
    Field(name="excluded", kind="boolean", description="Excluded from estimates, whether by a rule or by withdrawal."),
    Field(name="exclusion_reason", kind="string", description="The rule that excluded the session."),
    Field(name="site", kind="string", description="Panel or site that sent the rater."),
)


def answer_columns(questions: Iterable[tuple[str, str, str]]) -> tuple[Field, ...]:
    """Return a column for the answers to each exit question, given as (name, caption, kind).

    Numbers stay numbers; several answers to one question stand in one cell, with `` | `` between them.

    >>> [column.name for column in answer_columns([("age", "How old are you?", "number")])]
    ['answer_age']
    """
    return tuple(_answer_column(*question) for question in questions)


def _answer_column(name: str, caption: str, kind: str) -> Field:
    several = " Several answers have ' | ' between them." if kind == "multiple" else ""
    return Field(
        name=f"{ANSWER_PREFIX}{name}",
        kind="number" if kind == "number" else "string",
        description=f"Answer to: {caption}{several}",
    )
