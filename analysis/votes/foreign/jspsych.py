"""jsPsych 8: ``jsPsych.data.get().csv()`` and ``.json()``, one trial a row, the votes among other trials."""

from __future__ import annotations

from analysis.votes.foreign.tool import SIDE_ANSWERS, Tool, records_of

__all__ = ["JSPSYCH"]

JSPSYCH = Tool(
    name="jspsych",
    title="jsPsych 8 (CSV, JSON); tried on 8.3.0",
    records=records_of,
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
    answers={**SIDE_ANSWERS, "0": "left", "1": "right", "2": "tie", "arrowleft": "left", "arrowright": "right"},
    has_other_rows=True,
    unknown={"images": "a picture that did not load leaves no mark, so votes on broken pictures cannot be told"},
)
