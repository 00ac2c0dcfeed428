"""The line beside the headline says what would turn the conclusion, and names who."""

from __future__ import annotations

from analysis.report.content.influence import influence_section, influence_sentence
from analysis.report.tables.influence import influence_table, left_out_table
from tests.analysis.votes_factory import make_comparison, stored_table


def section(name):
    table = stored_table(name)
    return influence_section(table.comparison("robust", "vanilla"), raters=table.raters, pairs=table.pairs), table


def test_raters_and_pairs_are_named_as_in_the_votes():
    found, table = section("full_20x30")
    for removal in found["removals"]:
        names = {"raters": table.raters, "pairs": table.pairs}.get(removal["unit"])
        if names is not None and removal["first"]:
            assert set(removal["first"]) <= set(names)
    assert {entry["unit"] for entry in found["left_out"]} == {"raters", "pairs"}


def test_the_line_counts_what_turns_the_conclusion():
    found, _ = section("full_20x30")
    said = influence_sentence(found)
    plain = {
        "family": {"size": 1},
        "looks": {"basis": "one look"},
        "kind": "preferred",
        "preferred": found["conclusion"],
    }
    assert influence_sentence(found, plain) == said
    for change in ({"family": {"size": 3}}, {"looks": {"basis": "anytime"}}, {"kind": "not_interpretable"}):
        assert influence_sentence(found, {**plain, **change}) is None
    for removal in found["removals"]:
        if removal["count"] is not None:
            assert f"{removal['count']:,} {removal['unit'][:-1]}" in said
    assert ("no longer be significant" in said) == (found["conclusion"] is not None)


def test_without_an_interval_there_is_no_line():
    empty = influence_section(make_comparison([], [], []), raters=[], pairs=[])
    assert influence_sentence(empty) is None
    assert "no interval" in empty["reason"]


def test_tables_cut_long_names_and_leave_short_ones():
    long = "7a71db83-4cb2-4bdc-9e91-0123456789ab"
    removal = {"unit": "raters", "count": 2, "share": 0.1, "rate": 0.5, "first": [long, "ann"]}
    ends = {"rate": 0.4, "without": long}
    report = {"influence": {"removals": [removal], "left_out": [{"unit": "raters", "low": ends, "high": ends}]}}
    (row,) = influence_table(report).rows
    assert row["first"] == "7a71db83…, ann"
    (left_out,) = left_out_table(report).rows
    assert (left_out["low_without"], left_out["high_without"]) == ("7a71db83…", "7a71db83…")
