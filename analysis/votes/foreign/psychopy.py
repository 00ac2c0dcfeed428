"""PsychoPy's wide CSV: the columns of the conditions file beside ``NAME.keys`` and ``NAME.rt`` in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from analysis.votes.foreign.tool import Record, Tool, in_milliseconds, table_records

__all__ = ["PSYCHOPY"]


def _records(path: Path) -> Iterator[Record]:
    rows = [(line, record, _answered(record)) for line, record in table_records(path)]
    if any(len(names) > 1 for *_, names in rows):
        # Which of them the votes are, their author alone knows: without ``keys``, --map choice= is asked for.
        yield from ((line, record) for line, record, _ in rows)
        return
    for line, record, names in rows:
        keys, seconds = (record.get(f"{name}.{what}", "") for name in names or [""] for what in ("keys", "rt"))
        yield line, {**record, "keys": keys, "rt_ms": in_milliseconds(seconds)}


def _answered(record: Mapping[str, str]) -> list[str]:
    """Return the response components that answered in a row; their author named them."""
    return [name.removesuffix(".keys") for name, key in record.items() if name.endswith(".keys") and key]


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
