"""Gradio's flags: ``flagged/datasetN.csv``, a column a component, user and time last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from analysis.votes.csv_text import unguard
from analysis.votes.foreign.tool import Record, Tool, table_records

__all__ = ["GRADIO"]

_NUMBERED = re.compile(r"(.*?)\d+")


def _records(path: Path) -> Iterator[Record]:
    # Gradio puts an apostrophe before a cell that a spreadsheet would run; there is one to take off, as in our files.
    for line, record in table_records(path):
        yield line, {unguard(name): unguard(value) for name, value in record.items()}


def _remarks(path: Path) -> list[str]:
    """Gradio opens a new file whenever the components change: the votes may lie in several."""
    stem = _NUMBERED.fullmatch(path.stem)
    if not stem:
        return []
    others = sorted(other.name for other in path.parent.glob(f"{stem[1]}*{path.suffix}") if other.name != path.name)
    return [f"other files: {', '.join(others)} lie beside this one and were not read"] if others else []


GRADIO = Tool(
    name="gradio",
    title="Gradio flags (datasetN.csv); tried on 6.31.0",
    records=_records,
    columns={
        "rater": ("username",),
        "pair": ("pair_id", "item", "prompt"),
        "arm_left": ("model_left", "left_model", "model_a", "left"),
        "arm_right": ("model_right", "right_model", "model_b", "right"),
        "choice": ("flag", "winner", "preference", "answer"),
    },
    remarks=_remarks,
)
