"""Tables of influence: what turns the conclusion, and the extremes when one rater or pair is left out."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.report.parts.table import Column, Table

__all__ = ["influence_table", "left_out_table"]

_LONGEST_NAME = 24  # letters: a name that somebody gave, not a UUID or a digest


def influence_table(report: Mapping) -> Table | None:
    """Return how few votes, raters or pairs turn the conclusion of the first comparison."""
    section = report["influence"]
    if section is None or not section["removals"]:
        return None
    rows = [
        {
            "unit": removal["unit"],
            "count": removal["count"],
            "share": removal["share"],
            "rate": removal["rate"],
            "first": ", ".join(map(_short, removal["first"][:5])) if removal["first"] else None,
        }
        for removal in section["removals"]
    ]
    columns = (
        Column("unit", "Left out"),
        Column("count", "Fewest", "count"),
        Column("share", "Of all", "rate"),
        Column("rate", "Rate without them", "rate"),
        Column("first", "The first of them"),
    )
    note = (
        "Units are taken out in the order of their influence and the headline is computed anew; a dash: not even half "
        f"of them turns the conclusion. A smaller set of others might. Names of more than {_LONGEST_NAME} letters are "
        "cut; report.json holds them whole."
    )
    return Table("influence", "What would turn the conclusion", columns, rows, note)


def left_out_table(report: Mapping) -> Table | None:
    """Return the lowest and highest rate of the first comparison when one rater, or one pair, is left out."""
    section = report["influence"]
    if section is None or not section["left_out"]:
        return None
    rows = [
        {
            "unit": f"one of the {entry['unit']}",
            "low": entry["low"]["rate"],
            "low_without": _short(entry["low"]["without"]),
            "high": entry["high"]["rate"],
            "high_without": _short(entry["high"]["without"]),
        }
        for entry in section["left_out"]
    ]
    columns = (
        Column("unit", "Left out"),
        Column("low", "Lowest rate", "rate"),
        Column("low_without", "without"),
        Column("high", "Highest rate", "rate"),
        Column("high_without", "without"),
    )
    return Table("left_out", "The rate with one rater, or one pair, left out", columns, rows)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:8]}…"
