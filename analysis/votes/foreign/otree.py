"""oTree 6: the wide CSV (a participant a row, ``APP.ROUND.player.FIELD``) or an app's own CSV (a round a row)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from analysis.votes.foreign.tool import Record, Tool, table_records

__all__ = ["OTREE"]

_ROUND_FIELD = re.compile(r"(?P<app>.+)\.(?P<round>\d+)\.player\.(?P<field>.+)")


def _records(path: Path) -> Iterator[Record]:
    for line, row in table_records(path):
        # Without a round in their names, the columns are those of one app: a row is a round.
        plain = {name: value for name, value in row.items() if not _ROUND_FIELD.fullmatch(name)}
        common = {name.removeprefix("player."): value for name, value in plain.items()}
        rounds: dict[tuple[str, str], dict[str, object]] = {}
        for name, value in row.items():
            if match := _ROUND_FIELD.fullmatch(name):
                rounds.setdefault((match["app"], match["round"]), {})[match["field"]] = value
        for (app, number), fields in rounds.items():
            yield line, {**common, **fields, "app": app, "round": number, "trial_of_app": f"{app} {number}"}
        if not rounds:
            number = row.get("subsession.round_number", "")
            yield line, {**common, "round": number, "trial_of_app": number}


OTREE = Tool(
    name="otree",
    title="oTree 6 (all_apps_wide.csv, an app's CSV); tried on 6.0.15",
    records=_records,
    columns={
        "rater": ("participant.code",),
        "session": ("session.code",),
        "trial": ("trial_of_app",),
        "position": ("round",),
        "pair": ("pair_id", "item"),
        "arm_left": ("left_arm", "model_left", "left_model"),
        "arm_right": ("right_arm", "model_right", "right_model"),
        "choice": ("answer", "preference"),
    },
    # A BooleanField is written as 0 and 1; which side 1 means, the app alone knows: --answer 1=left --answer 0=right.
    has_other_rows=True,
)
