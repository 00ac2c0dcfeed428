"""Battles of chatbot and image arenas: ``model_a, model_b, winner`` (CSV, JSON, JSON Lines, Parquet)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.votes.foreign.tool import Record, Tool, records_of

__all__ = ["ARENA"]


def _records(path: Path) -> Iterator[Record]:
    for line, record in records_of(path):
        # Arenas keep battles between models that the voter chose and saw named; their own counts leave these out.
        is_blind = str(record.get("anony", True)).casefold() not in ("false", "0")
        yield line, record if is_blind else {**record, "left_out": "not blind (anony is false)"}


ARENA = Tool(
    name="arena",
    title="arena battles (CSV, JSON, JSON Lines, Parquet)",
    records=_records,
    columns={
        "rater": ("judge", "judge_hash", "user_id", "user", "voter"),
        "session": ("evaluation_session_id", "session_id"),
        "trial": ("battle_id", "id"),
        "pair": ("question_id", "prompt_id", "conversation_id", "conv_id"),
        "class_label": ("category",),
        "arm_left": ("model_a",),
        "arm_right": ("model_b",),
        "choice": ("winner",),
    },
    # Any other answer is refused: to count it as half a win, as arena code elsewhere does, invents a tie.
    answers={
        "model_a": "left",
        "model_b": "right",
        **dict.fromkeys(("tie", "tie (bothbad)", "tie(bothbad)", "bothbad", "both_bad"), "tie"),
    },
    no_answer=("", "null", "nan"),
)
