"""Potato: an annotator's ``user_state.json``; the arms stand in the project's data file, given with ``--items``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.votes.errors import unreadable
from analysis.votes.foreign.tool import SIDE_ANSWERS, Record, Tool, json_of

__all__ = ["POTATO"]


def _records(path: Path) -> Iterator[Record]:
    state = json_of(path)
    if not isinstance(state, dict) or not isinstance(state.get("instance_id_to_label_to_value"), dict):
        raise unreadable(path.name, 1, "is not a user_state.json of Potato: it has no instance_id_to_label_to_value")
    orders = state.get("instance_id_to_presentation_order") or {}
    for place, (instance, labels) in enumerate(state["instance_id_to_label_to_value"].items(), start=1):
        for label, value in labels:
            if label.get("name") != "selection":
                continue
            schema = label.get("schema")
            # Potato's own note on the order: the place in the data of what was shown first, second.
            shown = (orders.get(instance) or {}).get(schema)
            yield (
                place,
                {
                    "user_id": state.get("user_id"),
                    "instance_id": instance,
                    "trial": f"{instance} {schema}",
                    "selection": value,
                    "is_swapped": shown == [1, 0],
                },
            )


POTATO = Tool(
    name="potato",
    title="Potato (user_state.json); tried on 2.12.1",
    records=_records,
    columns={
        "rater": ("user_id",),
        "pair": ("instance_id",),
        "arm_left": ("left_arm", "model_left", "model_a", "left_model"),
        "arm_right": ("right_arm", "model_right", "model_b", "right_model"),
        "choice": ("selection",),
    },
    answers={**SIDE_ANSWERS, "a": "left", "b": "right"},
)
