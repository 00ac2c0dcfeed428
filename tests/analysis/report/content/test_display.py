"""What the report says of the raters' screens: a distribution, and the preference by the size shown."""

from __future__ import annotations

import pytest

from analysis.report import build_report
from analysis.report.content.display import display_section
from analysis.report.tables.display import display_table
from analysis.votes.reading import votes_from_rows

SHOWINGS = [
    {"rater": "a", "scale": 0.5, "width_px": 256, "pixel_ratio": 1, "layout": "row", "waited_ms": 40},
    {"rater": "a", "scale": 0.8, "width_px": 256, "pixel_ratio": 1, "layout": "row", "waited_ms": 60},
    {"rater": "b", "scale": 1.0, "width_px": 512, "pixel_ratio": 2, "layout": "stack", "waited_ms": 900},
]


def test_the_distribution_counts_raters_below_the_images_own_pixels() -> None:
    shown = display_section(SHOWINGS)
    assert shown["scale"] == {"median": 0.8, "least": 0.5, "most": 1.0}
    assert shown["raters_below_1"] == 0.5
    assert shown["layouts"] == {"row": 2, "stack": 1}
    assert shown["waited_ms"]["median"] == 60
    assert (shown["n"], shown["reason"]) == (3, None)
    assert display_table({"display": shown}).rows[0]["range"] == [0.5, 1.0]


@pytest.mark.parametrize("showings", [None, [], [{"rater": "a", "layout": "row"}], [{"rater": "a", "scale": "wide"}]])
def test_without_what_browsers_send_there_is_a_reason_and_no_table(showings) -> None:
    shown = display_section(showings)
    assert shown["scale"] is None
    assert shown["reason"]
    assert display_table({"display": shown}) is None


@pytest.mark.parametrize("odd", [True, float("nan"), -1, "3", None, [1], {}])
def test_what_is_no_number_is_left_out(odd) -> None:
    assert display_section([*SHOWINGS, {"rater": "c", "scale": odd}])["n"] == 3


def test_preference_stands_for_small_and_large_images_apart() -> None:
    rows = [
        {"rater": f"r{rater}", "pair": f"p{pair}", "arm_left": "x", "arm_right": "y", "choice": choice}
        for rater in range(10)
        for pair, choice in enumerate(("left", "right", "left") if rater < 5 else ("right", "right", "left"))
    ]
    showings = [
        {"rater": f"r{rater}", "scale": 1, "width_px": 200 if rater < 5 else 400}
        for rater in range(10)
        for _ in range(3)
    ]
    found = {row["name"]: row for row in build_report(votes_from_rows(rows).table, showings=showings)["sensitivity"]}
    assert found["shown_smaller"]["estimate"] == pytest.approx(2 / 3)
    assert found["shown_larger"]["estimate"] == pytest.approx(1 / 3)
    assert found["shown_smaller"]["n_raters"] == found["shown_larger"]["n_raters"] == 5
    assert "shown_smaller" not in {row["name"] for row in build_report(votes_from_rows(rows).table)["sensitivity"]}


def test_few_raters_of_one_size_have_no_row_of_their_own() -> None:
    rows = [
        {"rater": f"r{rater}", "pair": f"p{pair}", "arm_left": "x", "arm_right": "y", "choice": "left"}
        for rater in range(9)
        for pair in range(3)
    ]
    showings = [{"rater": f"r{rater}", "scale": 1, "width_px": 200 if rater < 2 else 400} for rater in range(9)]
    found = build_report(votes_from_rows(rows).table, showings=showings)["sensitivity"]
    assert not {"shown_smaller", "shown_larger"} & {row["name"] for row in found}
