"""Bradley-Terry, Davidson and Thurstone strengths: closed forms, oracles, symmetry, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.ranking.strengths import bradley_terry, davidson, thurstone_case_v
from tests.analysis.votes_factory import make_table, stored_table

MODELS = (bradley_terry, davidson, thurstone_case_v)


def comparison_table(wins, losses, ties):
    """Two arms, sides balanced within each outcome when the numbers are even."""
    rows = []
    for number, (choice, count) in enumerate((("a", wins), ("b", losses), ("tie", ties))):
        for vote in range(count):
            left, right = ("a", "b") if vote % 2 else ("b", "a")
            word = "tie" if choice == "tie" else ("left" if left == choice else "right")
            rows.append((f"r{(vote + number) % 5}", f"p{(3 * vote + number) % 7}", left, right, word))
    return make_table(rows)


def test_two_arms_have_the_closed_forms():
    table = comparison_table(24, 12, 10)
    assert bradley_terry(table).contrasts[0].difference.estimate == pytest.approx(np.log(2.0), abs=1e-9)
    ranking = davidson(table)
    assert ranking.contrasts[0].difference.estimate == pytest.approx(np.log(2.0), abs=1e-9)
    assert ranking.nu.estimate == pytest.approx(10 / np.sqrt(24 * 12), abs=1e-9)


def test_one_jod_is_a_preference_of_three_quarters():
    assert thurstone_case_v(comparison_table(36, 12, 0)).contrasts[0].difference.estimate == pytest.approx(
        1.0, abs=1e-9
    )


@pytest.mark.parametrize("model", MODELS)
def test_strengths_sum_to_zero_and_follow_the_win_matrix(model):
    ranking = model(stored_table("four_arms"), bootstrap=20)
    assert sum(arm.strength for arm in ranking.arms) == pytest.approx(0.0, abs=1e-12)
    assert {arm.rank for arm in ranking.arms} == {1, 2, 3, 4}
    json.dumps(ranking.as_json(), allow_nan=False)


def rows_of(*results, copies=1):
    """Votes from (winner, loser) names: raters and pairs in turn, sides alternating."""
    rows = []
    for number, (winner, loser) in enumerate(results * copies):
        left, right = (winner, loser) if number % 2 else (loser, winner)
        choice = "left" if left == winner else "right"
        rows.append((f"r{number % 4}", f"p{number % 5}", left, right, choice))
    return rows


CYCLE = (("a", "b"), ("b", "c"), ("c", "a"), ("a", "b"), ("b", "c"))


@pytest.mark.parametrize("model", MODELS)
def test_an_arm_that_never_loses_is_refused_with_the_reason(model):
    ranking = model(make_table(rows_of(*CYCLE, ("d", "a"), ("d", "b"), ("d", "c"), copies=3)))
    assert all(arm.strength is None and "every vote goes one way" in arm.reason for arm in ranking.arms)
    assert ranking.equality is None
    json.dumps(ranking.as_json(), allow_nan=False)


@pytest.mark.parametrize("model", MODELS)
def test_unconnected_arms_are_ranked_inside_their_group_only(model):
    votes = rows_of(*CYCLE, ("x", "y"), ("y", "x"), ("x", "y"), ("z", "w"), copies=4)
    ranking = model(make_table(votes), bootstrap=10)
    arms = {arm.arm: arm for arm in ranking.arms}
    assert len({arms[name].component for name in "abc"}) == 1
    assert arms["x"].component not in {arms["a"].component, arms["z"].component}
    assert (arms["x"].rank, arms["y"].rank) == (1, 2)
    assert arms["x"].strength == pytest.approx(-arms["y"].strength)
    assert "every vote goes one way" in arms["z"].reason
    assert not any({contrast.arm, contrast.other} & {"x", "y"} == {contrast.arm} for contrast in ranking.contrasts)
    assert "w, z" in ranking.reason


def test_quasi_errors_need_three_arms():
    ranking = bradley_terry(comparison_table(24, 12, 0), bootstrap=0)
    assert all(arm.quasi_se is None and "three arms" in arm.reason for arm in ranking.arms)


@pytest.mark.parametrize("model", MODELS)
def test_no_votes_and_one_rater_give_reasons(model):
    assert "no" in model(make_table([])).reason
    alone = model(make_table([("r0", *row[1:]) for row in rows_of(*CYCLE, copies=4)]))
    assert all(arm.strength is not None and arm.ci95 is None for arm in alone.arms)
    assert "only 1 rater" in alone.reason


def test_only_ties_leave_strengths_undefined_and_no_tie_sets_nu_to_zero():
    only = davidson(comparison_table(0, 0, 20))
    assert "all votes are ties" in only.reason
    assert only.nu.estimate is None
    none = davidson(comparison_table(24, 12, 0), bootstrap=0)
    assert none.nu.estimate == 0.0
    assert "no ties" in none.nu.reason
    assert none.arms[0].strength == pytest.approx(0.5 * np.log(2.0), abs=1e-9)


def test_sides_confounded_with_arms_leave_the_advantage_of_the_left_out():
    votes = [
        (row[0], row[1], "a", "b", "left" if number % 3 else "right") for number, row in enumerate(rows_of(*CYCLE * 6))
    ]
    ranking = bradley_terry(make_table(votes), bootstrap=0)
    assert "confounded" in ranking.position.reason
    assert ranking.contrasts[0].difference.estimate == pytest.approx(np.log(2.0), abs=1e-9)


def test_an_infinite_advantage_of_the_left_is_left_out_and_named():
    votes = [(f"r{i % 4}", f"p{i % 5}", *(("a", "b") if i % 2 else ("b", "a")), "left") for i in range(12)]
    ranking = bradley_terry(make_table(votes), bootstrap=0)
    assert "advantage of the left has no finite estimate" in ranking.position.reason
    assert ranking.contrasts[0].difference.estimate == pytest.approx(0.0, abs=1e-9)


def test_holm_and_the_rank_intervals_follow_the_contrasts():
    ranking = bradley_terry(stored_table("four_arms"), bootstrap=0)
    raw = sorted(contrast.difference.p_value for contrast in ranking.contrasts)
    adjusted = sorted(contrast.p_adjusted for contrast in ranking.contrasts)
    stepped = np.minimum(np.maximum.accumulate([p * (6 - place) for place, p in enumerate(raw)]), 1.0)
    assert adjusted == pytest.approx(stepped)
    for arm in ranking.arms:
        better = sum(_beats(contrast, arm.arm) < 0 for contrast in ranking.contrasts)
        worse = sum(_beats(contrast, arm.arm) > 0 for contrast in ranking.contrasts)
        assert arm.rank_interval == (1 + better, 4 - worse)


def _beats(contrast, arm):
    """1 where the arm is above the other at the adjusted 5 %, -1 where below, else 0."""
    if arm not in (contrast.arm, contrast.other) or contrast.p_adjusted > 0.05:
        return 0
    return int(np.sign(contrast.difference.estimate)) * (1 if contrast.arm == arm else -1)


def test_the_win_matrix_counts_every_vote():
    table = stored_table("four_arms")
    ranking = davidson(table, bootstrap=0)
    ties = np.array(ranking.ties)
    assert np.array(ranking.wins).sum() + ties.sum() // 2 == len(table)
    assert (ties == ties.T).all()


def test_the_bootstrap_repeats_with_its_seed_and_is_near_the_clustered_error_of_raters():
    table = stored_table("four_arms")
    one, other = bradley_terry(table, seed=3), bradley_terry(table, seed=3)
    assert one == other
    assert bradley_terry(table, seed=4) != one
    for arm in one.arms:
        assert 0.6 < arm.se_bootstrap / arm.se < 1.8
