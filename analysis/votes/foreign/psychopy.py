"""PsychoPy's wide CSV: the columns of the conditions file beside ``NAME.keys`` and ``NAME.rt`` in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.votes.foreign.tool import Record, Tool, in_milliseconds, table_records

__all__ = ["PSYCHOPY"]


def _records(path: Path) -> Iterator[Record]:
    for line, record in table_records(path):
        # A response component is named by its author; the one that answered in a row is that row's.
        for name in [name for name in record if name.endswith(".keys") and record[name]]:
            record.setdefault("keys", record[name])
            record.setdefault("rt", record.get(name.removesuffix(".keys") + ".rt", ""))
        yield line, {**record, "keys": record.get("keys", ""), "rt_ms": in_milliseconds(record.get("rt", ""))}


PSYCHOPY = Tool(
    name="psychopy",
    title="PsychoPy (wide CSV); tried on 2026.2.5",
    records=_records,
    columns={
        "rater": ("participant",),
        "pair": ("pair_id", "item"),
        "arm_left": ("left_arm", "model_left", "left_model"),
        "arm_right": ("right_arm", "model_right", "right_model"),
        "choice": ("keys",),
        "response_ms": ("rt_ms",),
    },
    has_other_rows=True,
)
