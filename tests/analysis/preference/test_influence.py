"""What few votes, raters or pairs do to the headline: found exactly, and verified by computing the headline anew."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.inference.crossing import crossing_of, rater_averaged_weights
from analysis.preference import influence as module
from analysis.preference.influence import influence
from analysis.preference.rate import headline
from tests.analysis.votes_factory import crossed_comparison, make_comparison, stored_table


def conclusion(comparison):
    result = headline(comparison)
    return "arm" if result.ci95[0] > 0.5 else "baseline" if result.ci95[1] < 0.5 else None


@pytest.mark.parametrize("name", ["full_20x30", "sides_unbalanced", "unequal_loads"])
@pytest.mark.parametrize(("unit", "column"), [("raters", "rater"), ("pairs", "pair")])
def test_the_extremes_are_those_of_leaving_each_unit_out_in_turn(name, unit, column):
    comparison = stored_table(name).comparison("robust", "vanilla")
    codes = getattr(comparison, column)
    adjusted = headline(comparison).is_position_adjusted
    rates = {}
    for code in np.unique(codes):
        left = comparison.rows(codes != code)
        result = headline(left)
        if result.is_position_adjusted == adjusted:
            rates[int(code)] = result.estimate
    found = next(entry for entry in influence(comparison).left_out if entry.unit == unit)
    for code, rate in ((found.low_code, found.low), (found.high_code, found.high)):
        if code in rates:
            assert rate == pytest.approx(rates[code], abs=1e-12)
    assert found.low <= min(rates.values()) + 1e-12
    assert found.high >= max(rates.values()) - 1e-12


@pytest.mark.parametrize("name", ["sides_unbalanced", "unequal_loads"])
def test_raters_taken_some_at_a_time_give_the_same_numbers(monkeypatch, name):
    comparison = stored_table(name).comparison("robust", "vanilla")
    at_once = influence(comparison)
    monkeypatch.setattr(module, "_VOTES_AT_A_TIME", 30)
    assert influence(comparison) == at_once


@pytest.mark.parametrize("seed", range(3))
def test_the_counted_units_turn_the_conclusion_and_one_fewer_does_not(seed):
    comparison = crossed_comparison(seed, raters=24, pairs=40, position=0.0)
    before = conclusion(comparison)
    for removal in influence(comparison).removals:
        if removal.count is None or removal.count > len(removal.codes):
            continue
        codes = {"raters": comparison.rater, "pairs": comparison.pair}.get(removal.unit, np.arange(len(comparison)))
        without = comparison.rows(~np.isin(codes, removal.codes))
        assert conclusion(without) != before
        assert headline(without).estimate == pytest.approx(removal.rate)
        one_fewer = comparison.rows(~np.isin(codes, removal.codes[: removal.count - 1]))
        assert conclusion(one_fewer) == before


def _turning(comparison, removal, result):
    """Counts up to half of the units that turn the conclusion, each computed anew, in the order of the removal."""
    codes = {"raters": comparison.rater, "pairs": comparison.pair}.get(removal.unit, np.arange(len(comparison)))
    weights = rater_averaged_weights(crossing_of(comparison))
    pull = np.bincount(codes, weights=weights * (comparison.score - result.estimate))
    towards = (result.estimate >= 0.5) == (conclusion(comparison) is not None)
    order = np.argsort(-pull if towards else pull, kind="stable")
    found, before = [], conclusion(comparison)
    for count in range(1, len(pull) // 2 + 1):
        left = comparison.rows(~np.isin(codes, order[:count]))
        if headline(left).ci95 is not None and conclusion(left) != before:
            found.append(count)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("raters", "pairs", "sd_pair"), [(6, 8, 0.8), (10, 14, 1.2), (40, 6, 0.2), (90, 24, 0.4)])
def test_the_count_is_the_smallest_of_a_look_at_every_one(seed, raters, pairs, sd_pair):
    comparison = crossed_comparison(seed, raters=raters, pairs=pairs, sd_pair=sd_pair, position=0.0)
    result = headline(comparison)
    for removal in influence(comparison).removals:
        turning = _turning(comparison, removal, result)
        if removal.count is None:
            assert not turning
        elif removal.unit == "votes":
            # Of many units the conclusion is taken to stand up to a count: the one before does not turn it.
            assert removal.count in turning
            assert removal.count - 1 not in turning
        else:
            assert removal.count == turning[0]


def test_the_search_among_many_votes_looks_at_few_headlines(monkeypatch):
    """Each look goes through all votes: bisection would take eleven for the votes alone."""
    looks = []
    monkeypatch.setattr(module, "headline", lambda votes: looks.append(len(votes)) or headline(votes))
    comparison = crossed_comparison(3, raters=60, pairs=70, position=0.0)
    assert influence(comparison).removals[0].count > 50
    assert len(looks) < 22


def test_one_loud_rater_is_found():
    rater = np.repeat(np.arange(9), 10)
    pair = np.tile(np.arange(10), 9)
    score = np.where(rater == 4, 1.0, (rater + pair) % 2).astype(float)
    found = next(entry for entry in influence(make_comparison(score, rater, pair)).left_out if entry.unit == "raters")
    assert found.low_code == 4
    assert found.low == pytest.approx(0.5)


def test_swapping_the_arms_swaps_the_conclusion_and_keeps_the_counts():
    comparison = crossed_comparison(5, position=0.0)
    mirrored = make_comparison(1.0 - comparison.score, comparison.rater, comparison.pair, -comparison.side)
    one, other = influence(comparison), influence(mirrored)
    swapped = {"arm": "baseline", "baseline": "arm", None: None}
    assert other.conclusion == swapped[one.conclusion]
    assert [removal.count for removal in other.removals] == [removal.count for removal in one.removals]


def test_a_near_unanimous_comparison_is_turned_by_no_half_of_its_raters_or_pairs():
    rater, pair = np.repeat(np.arange(12), 20), np.tile(np.arange(20), 12)
    score = np.where((rater + pair) % 17 == 0, 0.0, 1.0)
    votes, raters, pairs = influence(make_comparison(score, rater, pair)).removals
    assert (raters.count, pairs.count) == (None, None)
    assert votes.count > 40


def test_without_an_interval_nothing_is_said_of_removals():
    assert influence(make_comparison([1.0, 0.0], [0, 0], [0, 1])).removals == ()
    empty = influence(make_comparison([], [], []))
    assert (empty.removals, empty.left_out) == ((), ())
