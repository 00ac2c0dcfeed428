"""Tables of who judged: composition and preference by stated group, and automatic judges beside people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.raters.columns import LEAST_CELL
from analysis.report.parts import wording
from analysis.report.parts.table import Column, Table

__all__ = ["composition_table", "judges_table", "powered_table"]


def composition_table(report: Mapping) -> Table | None:
    """Return raters, votes and preference of every stated group, or None where no raters' table was given."""
    section = report["composition"]
    if not section["groups"]:
        return None
    rows, tests = [], []
    for grouping in section["groups"]:
        name = _caption(grouping["column"])
        rows += [
            {"column": name, **row, "estimate": _of(row, "estimate"), "ci95": _of(row, "ci95")}
            for row in grouping["rows"]
        ]
        test = grouping["heterogeneity"]
        if test and test["p_value"] is not None:
            tests.append(f"{name}: {wording.p_value(test['p_value'])}")
    columns = (
        Column("column", "By"),
        Column("group", "Group"),
        Column("raters", "Raters", "count"),
        Column("votes", "Votes", "count"),
        Column("share", "Of the raters", "rate"),
        Column("estimate", "Rate", "rate"),
        Column("ci95", "95 % interval", "rate_interval"),
        Column("p_adjusted", "p, Holm", "p"),
    )
    note = (
        "Rates have raters and pairs crossed; their p-values are one family. Fewer raters than "
        f"{LEAST_CELL} have neither counts nor a rate."
    )
    if tests:
        note += f" Test that the groups prefer alike, {'; '.join(tests)}."
    if section["unknown_raters"]:
        note += (
            f" {wording.count(section['unknown_raters'], 'rater')} of the votes stand in no row of the raters' table."
        )
    return Table("composition", "Who judged, and their preference", columns, rows, note)


def _of(row: Mapping[str, Any], key: str) -> float | list[float] | None:
    return None if row["result"] is None else row["result"][key]


def _caption(column: str) -> str:
    return column.removeprefix("answer_").replace("_", " ")


def judges_table(report: Mapping) -> Table | None:
    """Return each automatic judge's agreement with people beside people's own, or None without scores."""
    scorers = report["judges"]["scorers"]
    if not scorers:
        return None
    rows = []
    for entry in scorers:
        for key, who in (("judge", entry["scorer"]), ("human", "a rater (ceiling)"), ("difference", "difference")):
            result = entry["agreement"][key]
            kind = {"scorer": entry["scorer"], "who": who, "estimate": result["estimate"], "ci95": result["ci95"]}
            rows.append({**kind, "pairs": result["n_pairs"], "votes": result["n_votes"]})
    columns = (
        Column("scorer", "Judge"),
        Column("who", "Agreement of"),
        Column("estimate", "Share", "rate"),
        Column("ci95", "95 % interval", "rate_interval"),
        Column("pairs", "Pairs", "count"),
        Column("votes", "Votes", "count"),
    )
    flips = [
        f"{entry['scorer']} changed its choice with the order of the images on {entry['order']['flipped']} of "
        f"{wording.count(entry['order']['both_orders'], 'pair')}"
        for entry in scorers
        if entry["order"]["both_orders"]
    ]
    note = "Judge and rater are held against the majority of the other raters on the same votes."
    return Table("judges", "Automatic judges beside people", columns, rows, " ".join([note, *(f"{f}." for f in flips)]))


def powered_table(report: Mapping) -> Table | None:
    """Return the prediction-powered rate of each judge that scored pairs without votes."""
    rows = [
        {
            "scorer": entry["scorer"],
            "estimate": entry["powered"]["result"]["estimate"],
            "ci95": entry["powered"]["result"]["ci95"],
            "unvoted": entry["pairs"]["unvoted"],
            "variance_ratio": entry["powered"]["variance_ratio"],
            "reason": entry["powered"]["result"]["reason"],
        }
        for entry in report["judges"]["scorers"]
        if entry["pairs"]["unvoted"]
    ]
    if not rows:
        return None
    columns = (
        Column("scorer", "Judge"),
        Column("estimate", "Rate", "rate"),
        Column("ci95", "95 % interval", "rate_interval"),
        Column("unvoted", "Pairs scored only", "count"),
        Column("variance_ratio", "Variance ratio", "number"),
        Column("reason", "", "remark"),
    )
    note = (
        "The judge is a control variate: the rate stays that of raters, over all scored pairs. It holds where the "
        "voted pairs are a random sample of the scored ones. A variance ratio below 1 is what the judge saves."
    )
    return Table("powered", "Preference rate with the help of a judge", columns, rows, note)
