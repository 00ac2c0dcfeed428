"""Label Studio's Pairwise control: JSON (tasks with annotations), JSON-MIN and CSV (an annotation a row)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from analysis.votes.foreign.tool import (
    Record,
    Tool,
    as_a,
    in_milliseconds,
    json_of,
    records_of,
    table_records,
    with_criteria,
)

__all__ = ["LABEL_STUDIO"]


def _records(path: Path) -> Iterator[Record]:
    content = json_of(path) if path.suffix.lower() == ".json" else None
    if isinstance(content, list) and any(isinstance(task, dict) and "annotations" in task for task in content):
        yield from _from_tasks(path, content)
    else:
        for record in table_records(path) if content is None else records_of(path):
            yield from _flat(record)


def _from_tasks(path: Path, tasks: list) -> Iterator[Record]:
    for place, entry in enumerate(tasks, start=1):
        task = as_a(dict, entry, path, place, called="a task")
        for found in as_a(list, task.get("annotations"), path, place, called="annotations"):
            annotation = as_a(dict, found, path, place, called="an annotation")
            common = {
                **as_a(dict, task.get("data"), path, place, called="data"),
                "task": task.get("id"),
                "annotator": _annotator(annotation.get("completed_by")),
                "annotation_id": annotation.get("id"),
                "created_at": annotation.get("created_at"),
                "lead_time_ms": in_milliseconds(annotation.get("lead_time")),
                "left_out": "skipped" if annotation.get("was_cancelled") else _other_controls(annotation),
            }
            for control, choice in _choices(path, place, annotation) or [("", "")]:
                yield place, {**common, "question": control, "choice": choice}


def _annotator(completed_by: object) -> object:
    """Return the annotator's number; some exports write a person with name and e-mail address in its place."""
    return completed_by.get("id") if isinstance(completed_by, dict) else completed_by


def _other_controls(annotation: dict) -> str:
    """Return why an annotation that was answered is no vote: only controls other than Pairwise hold its answers."""
    results = annotation.get("result")
    kinds = {str(entry.get("type")) for entry in results or [] if isinstance(entry, dict)}
    return "" if not kinds or "pairwise" in kinds else f"answered with {', '.join(sorted(kinds))}, not Pairwise"


def _choices(path: Path, place: int, annotation: dict) -> list[tuple[str, object]]:
    """Return the name of each Pairwise control of an annotation, and what was selected in it."""
    results = as_a(list, annotation.get("result"), path, place, called="result")
    results = [as_a(dict, result, path, place, called="an entry of result") for result in results]
    return [
        (str(result.get("from_name")), as_a(dict, result.get("value"), path, place, called="value").get("selected", ""))
        for result in results
        if result.get("type") == "pairwise"
    ]


def _flat(record: Record) -> Iterator[Record]:
    """Yield an exported row for each Pairwise answer, a text instead of ``[{"selected": "left"}]``; or without one."""
    place, row = record
    selected = {name: side for name, value in row.items() if (side := _selected(value)) is not None}
    common = {**row, **selected, "task": row.get("id"), "lead_time_ms": in_milliseconds(row.get("lead_time"))}
    answers: list[tuple[str, object]] = [*selected.items()] or [("", row.get("choice", ""))]
    for name, answer in answers:
        yield place, {**common, "question": name, "choice": answer}


def _selected(value: object) -> str | None:
    if isinstance(value, str) and value.startswith("[{") and '"selected"' in value:
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, list) and value and isinstance(value[0], dict) and "selected" in value[0]:
        return str(value[0]["selected"])
    return None


LABEL_STUDIO = Tool(
    name="label-studio",
    title="Label Studio Pairwise (JSON, JSON-MIN, CSV)",
    records=lambda path: with_criteria(_records(path)),
    columns={
        "rater": ("annotator", "completed_by"),
        "trial": ("annotation_id",),
        "pair": ("pair_id", "item", "task"),
        "arm_left": ("left_arm", "model_left", "left_model"),
        "arm_right": ("right_arm", "model_right", "right_model"),
        "choice": ("choice",),
        "response_ms": ("lead_time_ms",),
        "submitted_at": ("created_at",),
    },
    unknown={
        "response times": "lead time counts from opening the task to saving it, reading and breaks included",
        "skipped tasks": "CSV and JSON-MIN leave them out, so how many were skipped shows in JSON alone",
    },
)
