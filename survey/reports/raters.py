"""The raters' table as its owner downloads it, and as it may be published: without cells that only a few share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.raters.columns import ANSWER_PREFIX, RATER_COLUMNS, answer_columns
from analysis.votes.columns import Field
from survey.models import Study
from survey.selectors.rater import exit_questions, question_kind, rater_rows, sessions_in_table, sessions_publishable

__all__ = ["LEAST_CELL", "rater_columns", "raters_export", "raters_published"]

# A value that fewer raters share could point at one of them (the usual threshold of statistical offices is 3 to 10).
LEAST_CELL = 5
# What a rater brings along; everything else in the table comes from the study.
_PERSONAL = ("language", "layout", "viewport_width_px", "viewport_height_px", "pixel_ratio", "input", "site")


def rater_columns(study: Study) -> tuple[Field, ...]:
    """Return the columns of the study's raters' table: the fixed ones, then one an exit question."""
    asked = ((entry["name"], entry["caption"], question_kind(entry)) for entry in exit_questions(study))
    return (*RATER_COLUMNS, *answer_columns(asked))


def raters_export(
    study: Study, folder: Path, *, formats: tuple[str, ...] = ("csv",), is_pilot: bool = False
) -> list[dict]:
    """Write the raters' table; return its resources for a data package."""
    from analysis.votes.writing import write_table

    rows = rater_rows(study, sessions_in_table(study, is_pilot=is_pilot))
    return write_table(rows, folder, columns=rater_columns(study), name="raters", formats=formats)


def raters_published(study: Study, *, least_cell: int = LEAST_CELL) -> tuple[tuple[Field, ...], Iterator[dict]]:
    """Return the columns and rows that may be published.

    A cell that fewer than ``least_cell`` raters share is left empty; answers in raters' own words are left out unless
    the consent covers them.
    """
    is_free_text_consented = all(
        config.get("publication", {}).get("is_free_text_consented", False)
        # Of all versions: answers were given under the consent of their own one.
        for config in study.versions.values_list("config", flat=True)
    )
    free = {entry["name"] for entry in exit_questions(study) if question_kind(entry) == "text"}
    left_out = set() if is_free_text_consented else {f"{ANSWER_PREFIX}{name}" for name in free}
    columns = tuple(column for column in rater_columns(study) if column.name not in left_out)
    hidden = {column.name for column in columns if column.name in _PERSONAL or column.name.startswith(ANSWER_PREFIX)}
    # Two passes: whether a value is rare is known only when all rows have been seen.
    shared = _shared(study, hidden)

    def row(entry: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in entry.items() if name not in left_out}
        return {
            name: None if name in hidden and shared[name, value] < least_cell else value for name, value in kept.items()
        }

    return columns, map(row, rater_rows(study, sessions_publishable(study)))


def _shared(study: Study, names: set[str]) -> Counter[tuple[str, Any]]:
    counted: Counter[tuple[str, Any]] = Counter()
    for entry in rater_rows(study, sessions_publishable(study)):
        counted.update((name, entry.get(name)) for name in names)
    return counted
