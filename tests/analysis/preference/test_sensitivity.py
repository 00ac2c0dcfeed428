import numpy as np
import pytest

from analysis.preference.rate import headline, two_way_t
from analysis.preference.sensitivity import sensitivity
from tests.analysis.votes_factory import make_duel, stored_table


def by_name(duel):
    return {variant.name: variant.result for variant in sensitivity(duel)}


def test_every_variant_is_the_headline_of_its_votes():
    duel = stored_table("careless").duel("robust", "vanilla")
    rows = by_name(duel)
    assert rows["ties_split"] == headline(duel)
    assert rows["ties_dropped"] == headline(duel.rows(duel.score != 0.5))
    assert rows["arm_left"] == two_way_t(duel.rows(duel.side > 0))
    first = np.zeros(len(duel), dtype=bool)
    for rater in np.unique(duel.rater):
        own = np.flatnonzero(duel.rater == rater)
        first[own[np.argsort(duel.extra["position"][own])[: (len(own) + 1) // 2]]] = True
    assert rows["first_half"].estimate == pytest.approx(headline(duel.rows(first)).estimate)
    assert rows["second_half"].n_votes == (~first).sum()


def test_results_stand_with_and_without_the_excluded_raters():
    duel = stored_table("careless").duel("robust", "vanilla")
    duel.extra["excluded"] = duel.rater < 5
    rows = by_name(duel)
    assert rows["ties_split"].n_raters == 25
    assert rows["excluded_kept"].n_raters == 30
    assert rows["first_half"].n_raters == 25


def test_raters_who_mostly_tie_are_left_out_and_counted():
    duel = make_duel([1, 0, 0.5, 0.5, 0.5, 1, 0, 1], [0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 0, 1, 2, 0, 1, 2])
    result = by_name(duel)["decisive_raters"]
    assert result.n_raters == 2
    assert "1 of 3 raters left out" in result.reason


def test_without_positions_the_halves_are_null_with_a_reason():
    rows = by_name(make_duel([1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 1]))
    assert rows["first_half"].estimate is None
    assert "no position" in rows["first_half"].reason


@pytest.mark.parametrize("sessions", [[""] * 8, ["1"] * 8, ["a", "b", "a", "b", "c", "d", "c", "d"]])
def test_the_halves_are_those_of_each_raters_own_sessions(sessions):
    position = [1, 1, 2, 2, 11, 11, 12, 12] if "a" in sessions else [1, 2, 3, 4, 11, 12, 13, 14]
    duel = make_duel(
        [1, 1, 0, 0, 1, 1, 0, 0], [0] * 4 + [1] * 4, [0, 1, 2, 3] * 2, session=np.array(sessions), position=position
    )
    rows = by_name(duel)
    assert (rows["first_half"].estimate, rows["first_half"].n_raters) == (1.0, 2)
    assert (rows["second_half"].estimate, rows["second_half"].n_raters) == (0.0, 2)


def test_an_empty_duel_gives_reasons_only():
    rows = by_name(make_duel([], [], [], position=[]))
    assert all(result.estimate is None and result.reason for result in rows.values())
    assert len(rows) == 8
