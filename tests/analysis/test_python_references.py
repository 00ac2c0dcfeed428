"""Closed forms, agreement and strengths against stored answers of scipy, statsmodels, krippendorff and choix."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.inference.crossing import crossed_variance, crossing_of, rater_averaged_weights
from analysis.preference.rate import binomial_exact, clopper_pearson, rater_mean_t, two_way_t, wilson
from analysis.ranking.strengths import bradley_terry
from analysis.raters.agreement import fleiss_kappa, krippendorff_alpha
from analysis.votes.table import TIE
from tests.analysis.reference import answers
from tests.analysis.votes_factory import stored_names, stored_table

NAMES = stored_names()
STORED = answers("python_references")


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def comparison_of(name):
    return stored_table(name).comparison("robust", "vanilla")


@pytest.mark.parametrize("name", NAMES)
def test_mean_over_raters_is_scipys_t_test(name):
    result, answer = rater_mean_t(comparison_of(name)), STORED[name]["rater_mean"]
    assert (result.estimate, *result.ci95) == close((answer["estimate"], answer["low"], answer["high"]))
    assert (result.p_value, result.df) == close((answer["p_value"], answer["df"]))


@pytest.mark.parametrize("name", NAMES)
def test_independent_intervals_are_those_of_scipy_and_statsmodels(name):
    comparison, answer = comparison_of(name), STORED[name]["decisive"]
    assert clopper_pearson(comparison).ci95 == close(tuple(answer["exact"]))
    assert wilson(comparison).ci95 == close(tuple(answer["wilson"]))
    assert binomial_exact(comparison).p_value == close(answer["p_value"])


@pytest.mark.parametrize("name", NAMES)
def test_the_variance_of_the_headline_is_that_of_statsmodels_with_the_floor_on_top(name):
    comparison, answer = comparison_of(name), STORED[name]["two_way"]
    crossing = crossing_of(comparison)
    weights = rater_averaged_weights(crossing)
    parts = crossed_variance(weights * (comparison.score - weights @ comparison.score), crossing)
    assert (parts.rater, parts.pair) == close((answer["rater"], answer["pair"]))
    assert parts.rater + parts.pair - parts.cell == close(answer["both"])
    result = two_way_t(comparison)
    assert result.estimate == close(answer["estimate"])
    assert result.se**2 == close(max(answer["both"], answer["rater"], answer["pair"]))


@pytest.mark.parametrize("name", NAMES)
def test_agreement_is_that_of_krippendorff_and_statsmodels(name):
    table, answer = stored_table(name), STORED[name]["agreement"]
    arms = [table.arms.index(arm) for arm in ("robust", "vanilla")]
    table = table.rows(np.isin(table.arm_left, arms) & np.isin(table.arm_right, arms))
    found = [krippendorff_alpha(table, ties=ties, repetitions=0).estimate for ties in (False, True)]
    assert found == close([answer["alpha"], answer["alpha_with_ties"]])
    if answer["fleiss_kappa_with_ties"] is not None:
        kappa = fleiss_kappa(table, ties=True, repetitions=0)
        assert kappa.estimate == close(answer["fleiss_kappa_with_ties"])


@pytest.mark.parametrize("name", NAMES)
def test_strengths_without_a_side_effect_are_those_of_choix(name):
    """Every decisive vote twice, once with the sides swapped: the advantage of the left is then 0, as choix assumes."""
    table = stored_table(name)
    decisive = table.rows(table.choice != TIE)
    doubled = decisive.rows(np.tile(np.arange(len(decisive)), 2))
    second = np.arange(len(doubled)) >= len(decisive)
    left, right = (
        np.where(second, one, other)
        for one, other in ((doubled.arm_right, doubled.arm_left), (doubled.arm_left, doubled.arm_right))
    )
    choice = np.where(second, 1 - doubled.choice, doubled.choice)
    ranking = bradley_terry(replace(doubled, arm_left=left, arm_right=right, choice=choice), bootstrap=0)
    # choix stops at a gradient that leaves five digits.
    assert [arm.strength for arm in ranking.arms] == pytest.approx(STORED[name]["strengths"], abs=1e-5)
    assert ranking.position.estimate == pytest.approx(0.0, abs=1e-9)
