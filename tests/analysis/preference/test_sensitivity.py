import numpy as np
import pytest

from analysis.preference.rate import headline, two_way_t
from analysis.preference.sensitivity import sensitivity
from tests.analysis.votes_factory import make_comparison, stored_table


def by_name(comparison):
    return {variant.name: variant.result for variant in sensitivity(comparison)}


def test_every_variant_is_the_headline_of_its_votes():
    comparison = stored_table("careless").comparison("robust", "vanilla")
    rows = by_name(comparison)
    assert rows["ties_split"] == headline(comparison)
    assert rows["ties_dropped"] == headline(comparison.rows(comparison.score != 0.5))
    assert rows["arm_left"] == two_way_t(comparison.rows(comparison.side > 0))
    first = np.zeros(len(comparison), dtype=bool)
    for rater in np.unique(comparison.rater):
        own = np.flatnonzero(comparison.rater == rater)
        first[own[np.argsort(comparison.extra["position"][own])[: (len(own) + 1) // 2]]] = True
    assert rows["first_half"].estimate == pytest.approx(headline(comparison.rows(first)).estimate)
    assert rows["second_half"].n_votes == (~first).sum()


def test_results_stand_with_and_without_the_excluded_raters():
    comparison = stored_table("careless").comparison("robust", "vanilla")
    comparison.extra["excluded"] = comparison.rater < 5
    rows = by_name(comparison)
    assert rows["ties_split"].n_raters == 25
    assert rows["excluded_kept"].n_raters == 30
    assert rows["first_half"].n_raters == 25


def test_raters_who_mostly_tie_are_left_out_and_counted():
    comparison = make_comparison([1, 0, 0.5, 0.5, 0.5, 1, 0, 1], [0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 0, 1, 2, 0, 1, 2])
    result = by_name(comparison)["decisive_raters"]
    assert result.n_raters == 2
    assert "1 of 3 raters left out" in result.reason


def test_without_positions_the_halves_are_null_with_a_reason():
    rows = by_name(make_comparison([1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 1]))
    assert rows["first_half"].estimate is None
    assert "no position" in rows["first_half"].reason


@pytest.mark.parametrize("sessions", [[""] * 8, ["1"] * 8, ["a", "b", "a", "b", "c", "d", "c", "d"]])
def test_the_halves_are_those_of_each_raters_own_sessions(sessions):
    position = [1, 1, 2, 2, 11, 11, 12, 12] if "a" in sessions else [1, 2, 3, 4, 11, 12, 13, 14]
    comparison = make_comparison(
        [1, 1, 0, 0, 1, 1, 0, 0], [0] * 4 + [1] * 4, [0, 1, 2, 3] * 2, session=np.array(sessions), position=position
    )
    rows = by_name(comparison)
    assert (rows["first_half"].estimate, rows["first_half"].n_raters) == (1.0, 2)
    assert (rows["second_half"].estimate, rows["second_half"].n_raters) == (0.0, 2)


def test_an_empty_comparison_gives_reasons_only():
    rows = by_name(make_comparison([], [], [], position=[]))
    assert all(result.estimate is None and result.reason for result in rows.values())
    assert len(rows) == 8
