"""Potato: an annotator's ``user_state.json``; the arms stand in the project's data file, given with ``--items``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.votes.errors import unreadable
from analysis.votes.foreign.tool import SIDE_ANSWERS, Record, Tool, as_a, json_of, with_criteria

__all__ = ["POTATO"]


def _records(path: Path) -> Iterator[Record]:
    state = json_of(path)
    if not isinstance(state, dict) or not isinstance(state.get("instance_id_to_label_to_value"), dict):
        raise unreadable(path.name, 1, "is not a user_state.json of Potato: it has no instance_id_to_label_to_value")
    orders = as_a(dict, state.get("instance_id_to_presentation_order"), path, 1, called="the presentation order")
    for place, (instance, labels) in enumerate(state["instance_id_to_label_to_value"].items(), start=1):
        order = as_a(dict, orders.get(instance), path, place, called="a presentation order")
        for schema, selection in _selections(path, place, labels):
            yield (
                place,
                {
                    "user_id": state.get("user_id"),
                    "instance_id": instance,
                    "trial": instance,
                    "question": schema,
                    "selection": selection,
                    # Potato's own note on the order: the place in the data of what was shown first, second.
                    "is_swapped": order.get(schema) == [1, 0],
                },
            )


def _selections(path: Path, place: int, labels: object) -> Iterator[tuple[str, object]]:
    """Yield the question and the answer of each Pairwise question of an instance."""
    for entry in as_a(list, labels, path, place, called="an instance's labels"):
        pair = as_a(list, entry, path, place, called="a label with its value")
        if len(pair) != 2:
            raise unreadable(path.name, place, "a label has no value: is the file what the tool wrote?")
        label = as_a(dict, pair[0], path, place, called="a label")
        if label.get("name") == "selection":
            yield str(label.get("schema")), pair[1]


POTATO = Tool(
    name="potato",
    title="Potato (user_state.json); tried on 2.12.1",
    records=lambda path: with_criteria(_records(path)),
    columns={
        "rater": ("user_id",),
        "pair": ("instance_id",),
        "arm_left": ("left_arm", "model_left", "model_a", "left_model"),
        "arm_right": ("right_arm", "model_right", "model_b", "right_model"),
        "choice": ("selection",),
    },
    answers={**SIDE_ANSWERS, "a": "left", "b": "right"},
)
