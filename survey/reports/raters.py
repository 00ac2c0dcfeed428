"""The raters' table as its owner downloads it, and as it may be published: without cells that only a few share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.raters.columns import ANSWER_PREFIX, LEAST_CELL, RATER_COLUMNS, answer_columns
from analysis.votes.columns import Field
from survey.models import Study
from survey.selectors.rater import (
    exit_questions,
    question_kind,
    questions_withheld,
    rater_rows,
    sessions_in_table,
    sessions_publishable,
)

__all__ = ["LEAST_CELL", "rater_columns", "raters_export", "raters_published"]

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
    left_out = {f"{ANSWER_PREFIX}{name}" for name in questions_withheld(study)}
    columns = tuple(column for column in rater_columns(study) if column.name not in left_out)
    hidden = {column.name for column in columns if column.name in _PERSONAL or column.name.startswith(ANSWER_PREFIX)}
    # Two passes: whether a value is rare is known only when all rows have been seen.
    shared = _shared(study, hidden, least_cell)

    def row(entry: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in entry.items() if name not in left_out}
        return {
            name: None if name in hidden and len(shared[name, value]) < least_cell else value
            for name, value in kept.items()
        }

    return columns, map(row, rater_rows(study, sessions_publishable(study)))


def _shared(study: Study, names: set[str], enough: int) -> dict[tuple[str, Any], set[str]]:
    """Return who has each value, up to as many raters as are enough: one who came twice is one."""
    found: dict[tuple[str, Any], set[str]] = defaultdict(set)
    for entry in rater_rows(study, sessions_publishable(study)):
        for name in names:
            if len(having := found[name, entry.get(name)]) < enough:
                having.add(entry["rater"])
    return found
