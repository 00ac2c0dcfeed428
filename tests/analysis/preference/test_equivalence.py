import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from analysis.preference.equivalence import equivalence_test, tost
from analysis.preference.rate import headline
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def one_vote_per_pair_comparison(rates_sd=0.1, raters=40, seed=0):
    """Raters with their own rates and one pair block each: the crossed variance is then the raters' alone."""
    rng = np.random.default_rng(seed)
    rater = np.repeat(np.arange(raters), 50)
    score = (rng.random(len(rater)) < np.repeat(0.5 + rng.normal(0, rates_sd, raters), 50)).astype(float)
    return make_comparison(score, rater, np.arange(len(rater)))


def test_one_sided_p_is_that_of_statsmodels_when_only_raters_vary():
    comparison = one_vote_per_pair_comparison()
    rates = np.array([comparison.score[comparison.rater == r].mean() for r in range(40)])
    expected, _, _ = DescrStatsW(rates).ttost_mean(0.45, 0.55)
    result = equivalence_test(comparison, margin=0.05)
    assert result.result.p_value == pytest.approx(expected, rel=1e-9)


def test_equivalence_is_shown_exactly_when_the_90_percent_interval_is_inside_the_margin():
    for seed in range(12):
        outcome = equivalence_test(crossed_comparison(seed, position=0.0, ties=0.8), margin=0.08)
        low, high = outcome.interval90
        assert outcome.is_equivalent == (low >= 0.42 and high <= 0.58)
        assert outcome.result.ci95[0] < low < high < outcome.result.ci95[1]


def test_not_significant_is_never_printed_as_no_difference():
    outcome = equivalence_test(crossed_comparison(1), margin=0.01)
    assert outcome.is_equivalent is False
    assert "not evidence of a difference" in outcome.result.method


@pytest.mark.parametrize("margin", [None, 0, 0.0, -0.1, 0.5, float("nan")])
def test_a_missing_or_impossible_margin_is_refused(margin):
    result = tost(crossed_comparison(), margin=margin)
    assert result.estimate is None
    assert "margin" in result.reason


def test_the_logit_scale_of_the_headline_is_kept():
    comparison = make_comparison([1] * 11 + [0], [0] * 4 + [1] * 4 + [2] * 4, [0, 1, 2, 3] * 3)
    outcome = equivalence_test(comparison, margin=0.05)
    assert outcome.interval90[1] < 1.0
    assert outcome.result.ci95 == headline(comparison).ci95


def test_without_an_interval_there_is_no_test():
    outcome = equivalence_test(make_comparison([1, 0], [0, 0], [0, 1]))
    assert outcome.is_equivalent is None
    assert outcome.result.p_value is None
    assert outcome.result.reason
