import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis.preference.rate import (
    binomial_exact,
    clopper_pearson,
    headline,
    rater_mean_decisive_t,
    rater_mean_t,
    two_way_t,
    vote_mean,
    wilson,
)
from tests.analysis.votes_factory import crossed_comparison, make_comparison

ALL = [two_way_t, headline, rater_mean_t, rater_mean_decisive_t, wilson, clopper_pearson, binomial_exact]


def brute_force_two_way(comparison):
    """The definition of statistics row 5, in loops over units."""
    load = np.bincount(comparison.rater)
    weight = 1.0 / load[comparison.rater]
    mean = (weight * comparison.score).sum() / weight.sum()
    error = weight * (comparison.score - mean) / weight.sum()
    parts = []
    for units in (
        list(comparison.rater),
        list(comparison.pair),
        list(zip(comparison.rater, comparison.pair, strict=True)),
    ):
        names = set(units)
        sums = [sum(e for e, unit in zip(error, units, strict=True) if unit == name) for name in names]
        parts.append(len(names) / (len(names) - 1) * sum(s * s for s in sums))
    return mean, math.sqrt(max(parts[0] + parts[1] - parts[2], parts[0], parts[1]))


@pytest.mark.parametrize("keep", [1.0, 0.3])
def test_two_way_t_is_the_definition(keep):
    comparison = crossed_comparison(3, keep=keep)
    mean, se = brute_force_two_way(comparison)
    result = two_way_t(comparison)
    assert result.estimate == pytest.approx(mean, abs=1e-12)
    assert result.se == pytest.approx(se, rel=1e-10)
    assert result.df == 19
    half = stats.t.ppf(0.975, 19) * se
    assert result.ci95 == pytest.approx((mean - half, mean + half), abs=1e-12)


def test_rater_mean_t_is_scipys_one_sample_t_test():
    comparison = crossed_comparison(4, keep=0.5)
    rates = [comparison.score[comparison.rater == r].mean() for r in np.unique(comparison.rater)]
    answer = stats.ttest_1samp(rates, 0.5)
    result = rater_mean_t(comparison)
    assert result.estimate == pytest.approx(np.mean(rates), abs=1e-12)
    assert result.p_value == pytest.approx(answer.pvalue, rel=1e-9)
    assert result.ci95 == pytest.approx(tuple(answer.confidence_interval()), abs=1e-12)
    assert two_way_t(comparison).estimate == result.estimate


def test_decisive_form_drops_raters_without_decisive_votes_and_counts_them():
    comparison = make_comparison([1, 0, 1, 1, 0.5, 0.5, 1], [0, 0, 1, 1, 2, 2, 1], [0, 1, 0, 1, 0, 1, 2])
    result = rater_mean_decisive_t(comparison)
    assert result.estimate == pytest.approx(0.75)
    assert result.n_raters == 2
    assert "1 of 3 raters" in result.reason


@pytest.mark.parametrize(("wins", "losses"), [(7, 3), (0, 9), (12, 0), (1, 0), (2500, 2400), (500, 500)])
def test_independent_intervals_are_those_of_scipy_and_statsmodels(wins, losses):
    score = [1] * wins + [0] * losses + [0.5] * 4
    comparison = make_comparison(score, np.arange(len(score)) % 3, np.arange(len(score)) % 5)
    test = stats.binomtest(wins, wins + losses)
    assert wilson(comparison).ci95 == pytest.approx(tuple(test.proportion_ci(method="wilson")), abs=1e-12)
    assert wilson(comparison).ci95 == pytest.approx(proportion_confint(wins, wins + losses, method="wilson"), abs=1e-9)
    assert clopper_pearson(comparison).ci95 == pytest.approx(tuple(test.proportion_ci(method="exact")), abs=1e-9)
    assert binomial_exact(comparison).p_value == pytest.approx(test.pvalue, rel=1e-9)
    assert binomial_exact(comparison).n_votes == wins + losses


def test_a_p_value_too_small_for_a_double_is_not_zero():
    comparison = make_comparison([1] * 3000, np.arange(3000) % 30, np.arange(3000) % 100)
    assert 0 < binomial_exact(comparison).p_value < 1e-300


def test_adjusted_rate_is_the_mean_of_the_rates_by_side():
    comparison = make_comparison(
        [1, 1, 0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3] * 2, [0.5] * 3 + [-0.5] + [0.5] * 3 + [-0.5]
    )
    assert two_way_t(comparison, adjusted=True).estimate == pytest.approx(((3 / 6) + (1 / 2)) / 2)
    assert "adjusted because sides are not balanced" in headline(comparison).method
    assert headline(comparison).estimate == two_way_t(comparison, adjusted=True).estimate


def test_headline_is_the_plain_rate_under_balanced_sides():
    comparison = make_comparison([1, 1, 0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3] * 2)
    assert headline(comparison).estimate == two_way_t(comparison).estimate
    assert "not adjusted because sides are balanced" in headline(comparison).method


def test_headline_with_one_side_never_shown_says_that_no_adjustment_is_possible():
    comparison = make_comparison([1, 0, 1, 0], [0, 0, 1, 1], [0, 1, 0, 1], [0.5] * 4)
    assert "no position adjustment is possible" in headline(comparison).reason
    assert two_way_t(comparison, adjusted=True).estimate is None


def test_bounds_that_leave_the_unit_interval_go_to_the_logit_scale():
    comparison = make_comparison([1] * 11 + [0], [0] * 4 + [1] * 4 + [2] * 4, [0, 1, 2, 3] * 3)
    result = two_way_t(comparison)
    assert "logit" in result.method
    spread = result.se / (result.estimate * (1 - result.estimate))
    centre = math.log(result.estimate / (1 - result.estimate))
    assert math.log(result.ci95[1] / (1 - result.ci95[1])) == pytest.approx(centre + stats.t.ppf(0.975, 2) * spread)
    assert result.p_value == pytest.approx(2 * stats.t.sf(centre / spread, 2))


@pytest.mark.parametrize("method", ALL)
def test_an_empty_comparison_is_refused_with_a_reason(method):
    result = method(make_comparison([], [], []))
    assert result.estimate is None
    assert result.reason
    assert result.n_votes == 0


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    "comparison",
    [
        make_comparison([1], [0], [0]),
        make_comparison([0.5] * 6, [0, 0, 1, 1, 2, 2], [0, 1] * 3),
        make_comparison([1] * 6, [0, 0, 1, 1, 2, 2], [0, 1] * 3),
        make_comparison([1, 0, 0.5, 1], [0] * 4, [0, 1, 2, 3]),
        make_comparison([1, 0, 0.5, 1], [0, 1, 2, 3], [0] * 4),
        make_comparison([1, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1]),
    ],
    ids=["one row", "all ties", "one-sided", "one rater", "one pair", "no variation between units"],
)
def test_degenerate_tables_give_a_number_or_a_reason(method, comparison):
    result = method(comparison)
    assert result.estimate is not None or result.reason
    assert result.ci95 is not None or result.reason


def test_few_raters_or_pairs_carry_a_warning():
    assert "9 raters" in two_way_t(crossed_comparison(raters=9, pairs=20)).reason
    assert "8 pairs" in two_way_t(crossed_comparison(raters=20, pairs=8)).reason
    assert two_way_t(crossed_comparison(raters=20, pairs=20)).reason is None


def test_vote_mean_differs_from_the_rater_average_under_unequal_loads():
    comparison = make_comparison([1, 1, 1, 0], [0, 0, 0, 1], [0, 1, 2, 0])
    assert vote_mean(comparison).estimate == 0.75
    assert rater_mean_t(comparison).estimate == 0.5


def test_the_choice_of_the_headline_is_symmetric_in_the_arms_at_its_border():
    side = [0.5] * 51 + [-0.5] * 49
    comparison = make_comparison([1, 0, 1, 1] * 25, np.arange(100) % 5, np.arange(100) // 5, side)
    swapped = make_comparison(1 - comparison.score, comparison.rater, comparison.pair, -comparison.side)
    assert headline(comparison).estimate == pytest.approx(1 - headline(swapped).estimate, abs=1e-12)
    assert "balanced: the arm was on the left for 51.0%" in headline(comparison).method
