"""A flow that does not add up is refused; without the platform's counts the report says why there is none."""

from __future__ import annotations

import pytest

from analysis.report.content.flow import flow_section
from analysis.report.figures.flow import flow_figures
from analysis.report.parts.figure import rendered
from analysis.report.tables.flow import flow_table, planned_table

STEPS = [
    {"name": "opened the study", "raters": 10, "left": {"refused: screen too small": 2, "left before the consent": 1}},
    {"name": "began the trials", "raters": 7, "left": {}},
]
FLOW = {
    "steps": STEPS,
    "planned": {"raters": 30, "votes": 480},
    "reached": {"raters": 7, "votes": 100},
    "dates": {"opened": "2026-01-01", "closed": "2026-02-01", "closing_reason": "money"},
}


def test_counts_that_do_not_add_up_are_refused_by_step():
    broken = FLOW | {"steps": [STEPS[0], STEPS[1] | {"raters": 8}]}
    with pytest.raises(ValueError, match="of 10 who opened the study, 3 left, but 8 began the trials"):
        flow_section(broken)


def test_a_file_of_votes_alone_has_no_flow_and_says_why():
    section = flow_section(None)
    assert section["steps"] is None
    assert "only the platform knows" in section["reason"]
    report = {"flow": section}
    assert (flow_table(report), planned_table(report), flow_figures(report)) == (None, None, [])


def test_the_figure_tells_the_counts_in_words_and_draws():
    (spec,) = flow_figures({"flow": flow_section(FLOW)})
    assert spec.description.startswith("10 opened the study (then 2 refused: screen too small, 1 left before")
    assert rendered(spec, ("svg",))["svg"].startswith(b"<?xml")


def test_planned_and_reached_stand_beside_each_other_with_the_reason_for_closing():
    table = planned_table({"flow": flow_section(FLOW)})
    assert table.rows == [
        {"what": "Raters", "planned": 30, "reached": 7},
        {"what": "Votes", "planned": 480, "reached": 100},
    ]
    assert table.note.endswith("reason given for closing: money.")
