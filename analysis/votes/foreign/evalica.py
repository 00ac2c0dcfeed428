"""Frames that evalica takes: ``left, right, winner`` with the names or the numbers of ``evalica.Winner``."""

from __future__ import annotations

from analysis.votes.foreign.tool import SIDE_ANSWERS, Tool, records_of

__all__ = ["EVALICA"]

EVALICA = Tool(
    name="evalica",
    title="evalica (CSV of left, right, winner); tried on 0.4.2",
    records=records_of,
    columns={
        "rater": ("worker", "annotator", "user"),
        "pair": ("task", "item", "question", "prompt"),
        "arm_left": ("left",),
        "arm_right": ("right",),
        "choice": ("winner",),
    },
    answers={
        **SIDE_ANSWERS,
        **{"x": "left", "y": "right", "draw": "tie"},
        **{"winner.x": "left", "winner.y": "right", "winner.draw": "tie"},
        **{"1": "left", "2": "right", "0": "tie"},
    },
    no_answer=("",),
)
