"""Preference sets for reward models: which of two was chosen, and nothing of where each stood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.votes.foreign.tool import Record, Tool, records_of

__all__ = ["PREFERENCES"]


def _records(path: Path) -> Iterator[Record]:
    for line, record in records_of(path):
        yield line, {**record, "choice": "left"}


PREFERENCES = Tool(
    name="preferences",
    title="chosen/rejected preference sets (CSV, JSON, JSON Lines, Parquet)",
    records=_records,
    columns={
        "rater": ("annotator", "annotator_id", "user_id", "worker_id"),
        "pair": ("pair_id", "prompt_id", "question_id", "prompt"),
        "arm_left": ("chosen_model", "chosen-model", "chosen_arm"),
        "arm_right": ("rejected_model", "rejected-model", "rejected_arm"),
    },
    unknown={
        "sides": "",
        "ties": "a set of chosen and rejected holds no undecided answers; the rate is one of decisive votes",
    },
)
