"""jsPsych 8: ``jsPsych.data.get().csv()`` and ``.json()``, one trial a row, the votes among other trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from analysis.votes.foreign.tool import PLAIN_FORMS, SIDE_ANSWERS, Record, Tool, records_of, table_records

__all__ = ["JSPSYCH"]

_BUTTONS = ("0", "1")


def _records(path: Path) -> Iterator[Record]:
    is_plain = path.suffix.lower() in PLAIN_FORMS
    for line, record in records_of(path) if is_plain else table_records(path, clean=_cell):
        # The space bar's own name, which would read as no answer.
        yield line, {**record, "response": "space"} if record.get("response") == " " else record


def _cell(text: str) -> str:
    return text if text == " " else text.strip()


def _answers(tool: Tool, records: Sequence[Record]) -> Mapping[str, str]:
    """Return what answers mean; of three buttons nobody can tell which one, the second or the third, is the tie."""
    has_more = any(str(record.get("response")).removesuffix(".0") == "2" for _, record in records)
    return {answer: side for answer, side in tool.answers.items() if not (has_more and answer in _BUTTONS)}


JSPSYCH = Tool(
    name="jspsych",
    title="jsPsych 8 (CSV, JSON); tried on 8.3.0",
    records=_records,
    columns={
        "rater": ("participant", "participant_id", "subject", "subject_id", "prolific_pid", "worker_id", "run_id"),
        "session": ("session_id", "run_id"),
        "trial": ("trial_index",),
        "pair": ("pair_id", "item", "item_id"),
        "arm_left": ("left_arm", "model_left", "left_model"),
        "arm_right": ("right_arm", "model_right", "right_model"),
        "choice": ("response",),
        "response_ms": ("rt",),
    },
    # A button's answer is its place from 0 on, a key's its name.
    answers={**SIDE_ANSWERS, "0": "left", "1": "right", "arrowleft": "left", "arrowright": "right"},
    answers_in=_answers,
    has_other_rows=True,
    unknown={"images": "a picture that did not load leaves no mark, so votes on broken pictures cannot be told"},
)
