"""What must hold for any votes: finite or refused, symmetric in arms and sides, blind to order and to names."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.inference.counts import count_sides, count_votes
from analysis.inference.estimate import Estimate
from analysis.preference.equivalence import tost
from analysis.preference.per_class import per_class
from analysis.preference.position import adjusted_rate, left_rate, position_effect, rater_left_shares
from analysis.preference.rate import (
    binomial_exact,
    clopper_pearson,
    headline,
    product_bootstrap,
    rater_mean_decisive_t,
    rater_mean_t,
    two_way_t,
    vote_mean,
    wilson,
)
from analysis.preference.sensitivity import sensitivity
from analysis.preference.sequential import confidence_sequence
from analysis.raters.agreement import agreement
from analysis.raters.consistency import consistency
from analysis.raters.screening import screen
from analysis.votes.table import TIE, VoteTable

RATES = [
    headline,
    two_way_t,
    adjusted_rate,
    rater_mean_t,
    rater_mean_decisive_t,
    wilson,
    clopper_pearson,
    binomial_exact,
    vote_mean,
    tost,
    confidence_sequence,
    lambda comparison: product_bootstrap(comparison, repetitions=100),
]
ARMS = ("robust", "vanilla")
RELAXED = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def vote_tables(draw, least=0, most=40, choices=(0, 1, 2)):
    """Any votes of up to five raters on up to five pairs: one row, one rater, one pair, repeats, all ties included."""
    size = draw(st.integers(least, most))
    units = st.lists(st.integers(0, draw(st.integers(0, 4))), min_size=size, max_size=size)
    sides = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    choice = draw(st.lists(st.sampled_from(choices), min_size=size, max_size=size))
    left = np.array([0 if is_left else 1 for is_left in sides], dtype=np.int64)
    pair = np.array(draw(units), dtype=np.int64)
    return VoteTable(
        raters=("a", "b", "c", "d", "e"),
        pairs=("p", "q", "r", "s", "t"),
        arms=ARMS,
        rater=np.array(draw(units), dtype=np.int64),
        pair=pair,
        arm_left=left,
        arm_right=1 - left,
        choice=np.array(choice, dtype=np.int8),
        extra={
            "class_label": np.array(["cat", "dog", "eel", "fox", "gnu"])[pair],
            "position": np.arange(size, dtype=np.float64),
        },
    )


def mirrored(table):
    """The same votes with every screen mirrored: the sides swap, the arms chosen stay."""
    choice = np.where(table.choice == TIE, TIE, 1 - table.choice).astype(np.int8)
    return VoteTable(**{**vars(table), "arm_left": table.arm_right, "arm_right": table.arm_left, "choice": choice})


def results_of(table):
    comparison = table.comparison(*ARMS)
    yield from (rate(comparison) for rate in RATES)
    yield from (left_rate(table), position_effect(comparison))
    yield from (variant.result for variant in sensitivity(comparison))
    section = agreement(table, comparison)
    yield from (value for value in vars(section).values() if isinstance(value, Estimate))
    yield from vars(consistency(table)).values()
    outcome = per_class(comparison)
    yield from (outcome.mean, outcome.sd)
    yield from (result for entry in outcome.classes for result in (entry.result, entry.pooled))


def same(one, other, *, mirror=False):
    """Equal up to rounding; with ``mirror`` rates are reflected at 1/2."""
    assert (one.estimate is None) == (other.estimate is None)
    assert (one.ci95 is None) == (other.ci95 is None)
    if one.estimate is not None:
        assert other.estimate == pytest.approx(1 - one.estimate if mirror else one.estimate, abs=1e-9)
    if one.ci95 is not None:
        expected = (1 - one.ci95[1], 1 - one.ci95[0]) if mirror else one.ci95
        assert other.ci95 == pytest.approx(expected, abs=1e-9)
    if one.p_value is not None:
        assert other.p_value == pytest.approx(one.p_value, rel=1e-6)


@RELAXED
@given(vote_tables())
def test_every_quantity_is_a_finite_number_or_has_a_reason(table):
    for result in results_of(table):
        assert result.estimate is not None or result.reason
        assert result.ci95 is not None or result.reason
        # Results check themselves on construction: finite, low < high, p in (0, 1].
        assert result.as_json()["method"]


@RELAXED
@given(vote_tables())
def test_rates_and_their_intervals_stay_between_zero_and_one(table):
    comparison = table.comparison(*ARMS)
    for rate in RATES:
        result = rate(comparison)
        assert result.estimate is None or 0.0 <= result.estimate <= 1.0
        assert result.ci95 is None or 0.0 <= result.ci95[0] < result.ci95[1] <= 1.0


@RELAXED
@given(vote_tables())
def test_swapping_the_arms_reflects_every_rate_at_one_half(table):
    for rate in RATES[:-1]:
        same(rate(table.comparison(*ARMS)), rate(table.comparison(*ARMS[::-1])), mirror=True)


@RELAXED
@given(vote_tables())
def test_swapping_the_sides_keeps_the_rates_and_reflects_the_left_share(table):
    other = mirrored(table)
    for rate in RATES:
        same(rate(table.comparison(*ARMS)), rate(other.comparison(*ARMS)))
    same(left_rate(table), left_rate(other), mirror=True)
    one, two = position_effect(table.comparison(*ARMS)), position_effect(other.comparison(*ARMS))
    assert one.estimate is None or two.estimate == pytest.approx(-one.estimate, abs=1e-9)


@RELAXED
@given(vote_tables(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(table, random):
    order = list(range(len(table)))
    random.shuffle(order)
    shuffled = table.rows(np.array(order, dtype=np.int64))
    ordered_by_rows = {confidence_sequence}
    for rate in RATES:
        if rate not in ordered_by_rows:
            same(rate(table.comparison(*ARMS)), rate(shuffled.comparison(*ARMS)))
    same(left_rate(table), left_rate(shuffled))
    for one, two in zip(vars(consistency(table)).values(), vars(consistency(shuffled)).values(), strict=True):
        same(one, two)


@RELAXED
@given(vote_tables(), st.permutations(range(5)), st.permutations(range(5)))
def test_the_names_of_raters_and_pairs_change_nothing(table, raters, pairs):
    renamed = VoteTable(**{**vars(table), "rater": np.array(raters)[table.rater], "pair": np.array(pairs)[table.pair]})
    for rate in RATES[:-1]:
        if rate is not confidence_sequence:
            same(rate(table.comparison(*ARMS)), rate(renamed.comparison(*ARMS)))


@RELAXED
@given(vote_tables(least=1, choices=(TIE,)))
def test_all_ties_are_a_rate_of_one_half_without_an_interval(table):
    comparison = table.comparison(*ARMS)
    for rate in (headline, two_way_t, rater_mean_t):
        assert rate(comparison).estimate == 0.5
        assert rate(comparison).ci95 is None
    for rate in (wilson, clopper_pearson, binomial_exact):
        assert rate(comparison).estimate is None


@RELAXED
@given(vote_tables())
def test_counts_add_up(table):
    counts, sides = count_votes(table.comparison(*ARMS)), count_sides(table)
    assert counts.votes == len(table) == sides.decisive + sides.ties
    assert counts.ties == sides.ties
    assert sum(share.left for share in rater_left_shares(table)) == sides.left


@RELAXED
@given(vote_tables())
def test_screening_gives_one_row_a_rater_and_rule(table):
    rows = screen(table)
    assert len(rows) == len({(row.rater, row.rule) for row in rows})
    assert {row.rater for row in rows} == {table.raters[code] for code in set(table.rater.tolist())}
    assert all(row.value is not None or row.reason for row in rows)
