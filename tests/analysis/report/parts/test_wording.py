"""Numbers in words: none is rounded onto a border that a conclusion hangs on."""

import pytest

from analysis.report import build_report
from analysis.report.formats.latex import render_latex_text
from analysis.report.parts.wording import interval, isolated, p_value, percent
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "50.0"),
        (0.5 + 1e-13, "50.0"),
        (0.50021, "50.02"),
        (0.49999, "49.999"),
        (0.5004, "50.04"),
        (0.5005, "50.05"),
        (0.587, "58.7"),
        (0.0, "0.0"),
        (1.0, "100.0"),
    ],
)
def test_a_rate_beside_one_half_is_not_called_one_half(value, shown):
    assert percent(value) == f"{shown}\u00a0%"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.05, "0.050"),
        (0.0496, "0.0496"),
        (0.0495, "0.0495"),
        (0.04999, "0.04999"),
        (0.0502, "0.0502"),
        (0.0489, "0.049"),
        (0.0512, "0.051"),
        (1e-300, "<\u00a00.001"),
        (1.0, "1.000"),
    ],
)
def test_a_p_value_says_on_which_side_of_the_level_it_lies(value, shown):
    assert p_value(value) == shown


def test_bounds_say_on_which_side_of_one_half_and_of_the_margin_they_lie():
    assert interval((0.50021, 0.647)) == "[50.02, 64.7]"
    assert interval((0.35, 0.49996)) == "[35.0, 49.996]"
    assert interval((0.45004, 0.54998), margin=0.05) == "[45.004, 54.998]"
    assert interval((0.44996, 0.549), margin=0.05) == "[44.996, 54.9]"
    assert interval((0.45, 0.549), margin=0.05) == "[45.0, 54.9]"
    assert interval((0.05, 0.5), rate=False) == "[0.050, 0.500]"


@pytest.mark.parametrize("name", ["\u0646\u0645\u0648\u0630\u062c", "\u05d0\u05d1", "\u202eevil", "a\u202cb"])
def test_a_name_from_right_to_left_turns_no_number_round(name):
    """Behind an Arabic name, and without end behind an override, "(62.0 %, ..." was shown in another order."""
    rows = study_rows(arms=(name, "base"))
    text = build_report(votes_from_rows(rows).table, plan={"arm": name})["text"]
    for said in (text["lead"], text["sentences"][0]):
        assert said.count(name) == said.count(f"\u2068{name}\u2069") > 0
    assert "\u2068base" not in text["lead"]
    assert "2068" not in render_latex_text(text)
    assert isolated("\u65e5\u672c \u00e9 1") == "\u65e5\u672c \u00e9 1"
