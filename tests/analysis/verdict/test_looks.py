"""Looks of the plan: which look this is, and what its boundary asks."""

import pytest

from analysis.inference.spending import nominal_levels
from analysis.verdict.looks import planned_looks

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_one_look_changes_nothing():
    for plan in ({}, {"looks": "one"}, {"looks": 1}):
        looks = planned_looks(plan)
        assert (looks.basis, looks.p_value(0.03), looks.nominal(0.05)) == ("one look", 0.03, 0.05)
    assert not planned_looks({}).is_planned


def test_a_number_of_looks_is_a_group_sequential_test_at_its_last_look():
    """Line 1.5: ``looks: 5`` changed nothing."""
    looks = planned_looks({"looks": 5})
    assert (looks.basis, looks.look, looks.fractions) == ("group sequential", 5, FIVE)
    assert looks.nominal(0.05) == pytest.approx(nominal_levels(FIVE)[-1])
    assert looks.p_value(0.045) > 0.05


def test_the_look_is_named_or_follows_from_the_raters():
    plan = {"looks": {"number": 5, "spending": "pocock"}, "target_raters": 50}
    assert planned_looks(plan, taken=2).fractions == (0.2, 0.4)
    assert planned_looks(plan, taken=[0.13, 0.5]).fractions == (0.13, 0.5)
    # 23 of 50 raters: two planned looks lie behind, this one comes unplanned.
    assert planned_looks(plan, raters=23).fractions == (0.2, 0.4, 0.46)
    assert planned_looks(plan, raters=70).fractions == FIVE
    assert planned_looks(plan, taken=1).nominal(0.05) == pytest.approx(nominal_levels([0.2], spending="pocock")[0])


def test_a_plan_may_say_itself_which_looks_were_taken():
    plan = {"looks": {"number": 5, "taken": [0.1, 0.35]}, "target_raters": 50}
    assert planned_looks(plan, raters=50).fractions == (0.1, 0.35)
    assert planned_looks(plan, taken=[0.2]).fractions == (0.2,)


def test_anytime_asks_nothing_of_the_headline():
    looks = planned_looks({"looks": "anytime"})
    assert (looks.basis, looks.nominal(0.05)) == ("anytime", 0.05)


@pytest.mark.parametrize(
    "looks",
    ["often", 0, True, 2.5, {"spending": "pocock"}, {"number": 3, "spending": "x"}, {"number": 2, "fractions": [1]}],
)
def test_looks_that_cannot_be_followed_are_refused(looks):
    with pytest.raises(ValueError, match="the plan's looks"):
        planned_looks({"looks": looks})


def test_a_look_beyond_the_plan_is_refused():
    with pytest.raises(ValueError, match="look 6 of 5"):
        planned_looks({"looks": 5}, taken=6)
    with pytest.raises(ValueError, match="increasing"):
        planned_looks({"looks": 5}, taken=[0.5, 0.4])


@pytest.mark.parametrize(
    "fractions", [[0.9, 0.5], [0.5, 0.5], [0.5, 1.5], [0.0, 1.0], ["a", 1.0], [True, 1.0], [-0.1, 1]]
)
def test_planned_fractions_that_no_looks_can_have_are_refused(fractions):
    """A last one before the others was taken for 1 in silence."""
    with pytest.raises(ValueError, match=r"increasing numbers within \(0, 1\]"):
        planned_looks({"looks": {"number": 2, "fractions": fractions}})
