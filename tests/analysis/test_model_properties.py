"""What must hold for the models on any votes: finite or refused with a reason, symmetric in arms, blind to order."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.ranking.strengths import bradley_terry, davidson, thurstone_case_v
from analysis.regression.gee import gee
from analysis.regression.glmm import glmm
from analysis.regression.linear_mixed import lmm
from analysis.regression.ordinal import ordinal_mixed
from analysis.votes.table import VoteTable
from tests.analysis.votes_factory import make_comparison

RELAXED = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RANKINGS = (bradley_terry, davidson, thurstone_case_v)
NAMES = tuple("abcde")


@st.composite
def comparisons(draw):
    size = draw(st.integers(0, 40))
    raters, pairs = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    scores = draw(st.sampled_from(([0.0, 1.0], [0.0, 0.5, 1.0], [0.0, 1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 1.0])))

    def column(values):
        return draw(st.lists(values, min_size=size, max_size=size))

    sides = st.sampled_from(draw(st.sampled_from(([0.5, -0.5], [0.5]))))
    return make_comparison(
        column(st.sampled_from(scores)),
        column(st.integers(0, raters - 1)),
        column(st.integers(0, pairs - 1)),
        column(sides),
    )


@st.composite
def tables(draw):
    size, arms = draw(st.integers(0, 40)), draw(st.integers(2, 5))
    codes = np.array(draw(st.lists(st.integers(0, 4), min_size=2 * size, max_size=2 * size)), dtype=np.int64)
    left = np.array(draw(st.lists(st.integers(0, arms - 1), min_size=size, max_size=size)), dtype=np.int64)
    shift = np.array(draw(st.lists(st.integers(1, arms - 1), min_size=size, max_size=size)), dtype=np.int64)
    choice = draw(st.lists(st.sampled_from((0, 0, 1, 1, 2)), min_size=size, max_size=size))
    return VoteTable(
        raters=NAMES,
        pairs=NAMES,
        arms=NAMES[:arms],
        rater=codes[:size],
        pair=codes[size:],
        arm_left=left,
        arm_right=(left + shift) % arms,
        choice=np.array(choice, dtype=np.int8),
    )


@pytest.mark.parametrize("model", [glmm, lmm, gee, ordinal_mixed])
@RELAXED
@given(comparison=comparisons())
def test_every_number_of_a_model_is_finite_or_has_a_reason(model, comparison):
    values = model(comparison).as_json()
    json.dumps(values, allow_nan=False)
    for part in [values, *values.values()]:
        if isinstance(part, dict) and "estimate" in part:
            assert part["reason"] or (part["estimate"] is not None and part["ci95"] is not None)


@pytest.mark.parametrize("model", [glmm, gee, ordinal_mixed, lmm])
@RELAXED
@given(comparison=comparisons())
def test_swapping_the_arms_flips_the_sign(model, comparison):
    """Away from refusals: which of two equal maxima a flat likelihood takes is rounding."""
    one, other = (
        model(comparison),
        model(make_comparison(1.0 - comparison.score, comparison.rater, comparison.pair, -comparison.side)),
    )
    if model in (lmm, gee):
        assert (other.estimate is None) == (one.estimate is None)
        if one.estimate is not None:
            assert other.estimate == pytest.approx(1.0 - one.estimate, abs=1e-5)
    elif one.log_likelihood is not None and other.log_likelihood is not None:
        assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
        assert other.intercept.estimate == pytest.approx(-one.intercept.estimate, abs=5e-3)


@pytest.mark.parametrize("model", RANKINGS)
@RELAXED
@given(table=tables())
def test_every_strength_is_finite_or_has_a_reason(model, table):
    ranking = model(table, bootstrap=5)
    json.dumps(ranking.as_json(), allow_nan=False)
    for arm in ranking.arms:
        assert arm.strength is not None or arm.reason
    for component in {arm.component for arm in ranking.arms if arm.strength is not None}:
        members = [arm for arm in ranking.arms if arm.component == component]
        assert sum(arm.strength for arm in members) == pytest.approx(0.0, abs=1e-9)
        assert sorted(arm.rank for arm in members) == list(range(1, len(members) + 1))
        assert all(low <= arm.rank <= high for arm in members if arm.rank_interval for low, high in [arm.rank_interval])


@pytest.mark.parametrize("model", RANKINGS)
@RELAXED
@given(table=tables(), seed=st.integers(0, 5))
def test_row_order_changes_no_bit_of_a_ranking(model, table, seed):
    order = np.random.default_rng(seed).permutation(len(table))
    one, other = model(table, bootstrap=0), model(table.rows(order), bootstrap=0)
    assert [arm.strength for arm in other.arms] == [arm.strength for arm in one.arms]
    assert other.log_likelihood == one.log_likelihood


@pytest.mark.parametrize("model", RANKINGS)
@RELAXED
@given(table=tables())
def test_mirroring_the_screen_keeps_strengths_and_flips_the_advantage_of_the_left(model, table):
    mirrored = replace(
        table,
        arm_left=table.arm_right,
        arm_right=table.arm_left,
        choice=np.where(table.choice == 2, 2, 1 - table.choice).astype(np.int8),
    )
    one, other = model(table, bootstrap=0), model(mirrored, bootstrap=0)
    for left, right in zip(one.arms, other.arms, strict=True):
        assert (left.strength is None) == (right.strength is None)
        if left.strength is not None:
            assert right.strength == pytest.approx(left.strength, abs=1e-6)
    if one.position.estimate is not None:
        assert other.position.estimate == pytest.approx(-one.position.estimate, abs=1e-6)
