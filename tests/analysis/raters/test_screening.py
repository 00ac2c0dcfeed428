import itertools
from dataclasses import replace

import numpy as np
import pytest

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.raters.screening import RULES, flagged_raters, screen
from analysis.raters.screening_rules import run_tail
from analysis.votes.reading import votes_from_rows
from analysis.votes.table import LEFT, RIGHT, TIE
from tests.analysis.votes_factory import make_table, stored_table


def measured(table, rule, **parameters):
    return {row.rater: row for row in screen(table, [{"rule": rule, "parameters": parameters}])}


def answers(rater, choices, **extra):
    rows = [(rater, f"p{n:03d}", "robust", "vanilla", choice) for n, choice in enumerate(choices)]
    return make_table(rows, **extra)


SIDES = {"l": "left", "r": "right", "t": "tie"}


def test_response_times_are_judged_by_their_median_and_their_floor():
    table = answers("a", ["left", "right", "left", "tie"], response_ms=[200.0, 250.0, 900.0, np.nan])
    assert measured(table, "too_fast")["a"].value == 250.0
    assert measured(table, "too_fast")["a"].flagged
    assert not measured(table, "too_fast", median_ms=250)["a"].flagged
    assert measured(table, "many_fast")["a"].value == pytest.approx(2 / 3)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_the_median_is_numpys(size):
    times = np.random.default_rng(size).uniform(100, 3000, size)
    table = answers("a", ["left"] * size, response_ms=times)
    assert measured(table, "too_fast")["a"].value == pytest.approx(np.median(times))


def test_without_response_times_the_value_is_null_with_a_reason():
    row = measured(answers("a", ["left"]), "too_fast")["a"]
    assert row.value is None
    assert row.reason
    assert not row.flagged


@pytest.mark.parametrize(
    ("given", "longest"), [("lllrr", 3), ("ltlll", 3), ("rrrrl", 4), ("tttt", 0), ("lrlr", 1), ("llttll", 2)]
)
def test_the_longest_run_is_of_one_side_and_a_tie_breaks_it(given, longest):
    assert measured(answers("a", [SIDES[g] for g in given]), "same_side_run")["a"].value == longest


def test_runs_follow_the_order_shown_and_stay_within_a_rater():
    table = answers("a", ["left", "right", "left", "right"], position=[1.0, 3.0, 2.0, 4.0])
    assert measured(table, "same_side_run")["a"].value == 2
    sittings = answers("a", ["left", "right", "left", "right"], position=[1.0, 1.0, 2.0, 2.0], session=list("stst"))
    assert measured(sittings, "same_side_run")["a"].value == 2
    apart = answers("a", ["left", "right", "left", "left"], position=[1.0, 2.0, 1.0, 2.0], session=list("ttss"))
    assert measured(apart, "same_side_run")["a"].value == 2
    two = make_table([(r, p, "robust", "vanilla", "left") for r in "ab" for p in "xyz"])
    assert [row.value for row in measured(two, "same_side_run").values()] == [3, 3]


@pytest.mark.parametrize("flips", [1, 2, 5, 9])
def test_run_tail_is_the_count_over_all_sequences(flips):
    longest = np.array(
        [max(len(list(g)) for _, g in itertools.groupby(s)) for s in itertools.product("lr", repeat=flips)]
    )
    for length in range(1, flips + 1):
        expected = np.mean(longest >= length)
        assert run_tail(np.array([length]), np.array([flips]))[0] == pytest.approx(expected, abs=1e-12)


def test_left_share_and_tie_share():
    table = answers("a", ["left"] * 14 + ["right"] + ["tie"] * 5)
    row = measured(table, "left_share")["a"]
    assert row.value == pytest.approx(14 / 15)
    assert row.flagged
    assert measured(table, "tie_share")["a"].value == pytest.approx(0.25)
    assert measured(answers("a", ["tie"] * 12), "tie_share")["a"].flagged
    assert not measured(answers("a", ["tie"] * 3), "tie_share")["a"].flagged


def test_degraded_checks_fail_unless_the_intact_image_is_chosen():
    rows = [
        ("a", "x", "degraded", "robust", "right"),
        ("a", "y", "vanilla", "degraded", "tie"),
        ("a", "z", "robust", "degraded", "right"),
        ("a", "w", "robust", "vanilla", "left"),
        ("b", "w", "robust", "vanilla", "left"),
    ]
    table = make_table(rows, check_kind=["degraded", "degraded", "degraded", "", ""])
    by_rater = measured(table, "failed_checks")
    assert by_rater["a"].value == 2
    assert by_rater["a"].flagged
    assert by_rater["b"].value is None


def test_checks_and_practice_enter_no_other_rule():
    kinds = ["identical", "practice", "degraded", ""]
    table = answers("a", ["left", "left", "left", "right"], check_kind=kinds, response_ms=[1.0, 1.0, 1.0, 800.0])
    assert measured(table, "same_side_run")["a"].value == 1
    assert measured(table, "left_share")["a"].value == 0
    assert measured(table, "too_fast")["a"].value == 800


def test_duplicates_are_votes_on_the_same_images_again_but_for_planned_repeats():
    rows = [
        ("a", "p1", "robust", "vanilla", "left"),
        ("a", "p1", "vanilla", "robust", "tie"),
        ("a", "p1", "robust", "other", "left"),
        ("a", "p1", "robust", "vanilla", "right"),
        ("a", "p2", "robust", "vanilla", "left"),
        ("a", "p2", "robust", "vanilla", "left"),
        ("b", "p1", "robust", "vanilla", "left"),
    ]
    found = measured(make_table(rows), "duplicates")
    assert [(row.value, row.flagged) for row in found.values()] == [(3, True), (0, False)]
    planned = np.array([False, False, False, True, False, False, False])
    kinds = np.array(["", "", "", "", "", "repeat", ""])
    found = measured(make_table(rows, is_repeat=planned, check_kind=kinds), "duplicates")
    assert found["a"].value == 1
    assert not measured(make_table(rows), "duplicates", votes=3)["a"].flagged
    practice = np.array(["practice"] * 7)
    assert measured(make_table(rows, check_kind=practice), "duplicates")["a"].value is None


def test_log_likelihood_leaves_the_rater_out():
    rows = [(r, "x", "robust", "vanilla", "left") for r in "abc"] + [("d", "x", "robust", "vanilla", "right")]
    values = measured(make_table(rows), "log_likelihood")
    # For a: the other three are 2 left, 1 right; for d: 3 left.
    assert values["a"].value == pytest.approx(np.log(3 / 5))
    assert values["d"].value == pytest.approx(np.log(1 / 5))


def test_agreement_with_the_majority_alone_excludes_nobody():
    rows = [(f"r{n}", f"p{p}", "robust", "vanilla", "left") for n in range(9) for p in range(12)]
    rows += [("z", f"p{p}", "robust", "vanilla", "right" if p % 2 else "left") for p in range(12)]
    screened = screen(make_table(rows), [{"rule": "log_likelihood"}])
    assert [row.rater for row in screened if row.flagged] == ["z"]
    assert flagged_raters(screened) == {}


def test_careless_raters_are_found_and_attentive_ones_kept():
    table = simulate_votes(Scenario(raters=60, pairs=60, careless_share=0.25, seed=3))
    flagged = flagged_raters(screen(table))
    times = {r: np.median(table.extra["response_ms"][table.rater == n]) for n, r in enumerate(table.raters)}
    careless = {rater for rater, median in times.items() if median < 400}
    assert 5 <= len(careless) <= 25
    assert careless == set(flagged)


@pytest.mark.parametrize("name", ["careless", "repeats_and_classes", "four_arms"])
def test_rules_are_symmetric_in_the_arms(name):
    table = stored_table(name)
    order = np.arange(len(table.arms))[::-1]
    renamed = replace(table, arm_left=order[table.arm_left], arm_right=order[table.arm_right])
    swapped = screen(renamed)
    for row, twin in zip(screen(table), swapped, strict=True):
        assert (row.rater, row.rule, row.flagged) == (twin.rater, twin.rule, twin.flagged)
        assert row.value == pytest.approx(twin.value, nan_ok=True)


def test_mirrored_sides_mirror_the_left_share_and_flag_alike():
    table = stored_table("careless")
    choice = np.where(table.choice == TIE, TIE, np.where(table.choice == LEFT, RIGHT, LEFT)).astype(np.int8)
    mirrored = replace(table, arm_left=table.arm_right, arm_right=table.arm_left, choice=choice)
    for row, twin in zip(screen(table), screen(mirrored), strict=True):
        assert row.flagged == twin.flagged
        assert twin.value == pytest.approx(1 - row.value if row.rule == "left_share" else row.value)


def test_row_order_changes_nothing_where_positions_are_known():
    table = stored_table("repeats_and_classes")
    shuffled = table.rows(np.random.default_rng(0).permutation(len(table)))
    for row, twin in zip(screen(table), screen(shuffled), strict=True):
        assert (row.rater, row.rule, row.flagged) == (twin.rater, twin.rule, twin.flagged)
        assert row.value == pytest.approx(twin.value)


def test_an_empty_table_screens_nobody():
    assert screen(stored_table("full_20x30").rows(np.zeros(600, dtype=bool))) == []


def test_unknown_rules_and_parameters_are_refused_by_name():
    table = answers("a", ["left"])
    with pytest.raises(ValueError, match="no screening rule 'bored'"):
        screen(table, [{"rule": "bored"}])
    with pytest.raises(ValueError, match="no parameter 'seconds'"):
        screen(table, [{"rule": "too_fast", "parameters": {"seconds": 1}}])


def test_descriptions_name_their_parameters():
    for rule in RULES.values():
        assert rule.description.format(**rule.defaults) != rule.description


def test_pairs_that_come_once_by_each_criterion_are_no_duplicates():
    rows = [
        {"rater": "r", "pair": f"p{pair}", "arm_left": "x", "arm_right": "y", "choice": "left", "criterion": key}
        | {"trial": f"{key}{pair}", "session": "s", "position": pair + 6 * place + 1}
        for place, key in enumerate(("detail", "realism"))
        for pair in range(6)
    ]
    again = rows[0] | {"trial": "again", "session": "later", "position": 1, "rater": "q"}
    twice = [again, again | {"trial": "once more", "position": 2}]
    table = votes_from_rows([*rows, *twice]).table
    found = {row.rater: row for row in screen(table, [{"rule": "duplicates"}], criterion="detail")}
    assert (found["r"].value, found["r"].flagged) == (0, False)
    assert (found["q"].value, found["q"].flagged) == (1, True)
