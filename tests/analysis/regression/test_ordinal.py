"""The crossed cumulative logit model: symmetry, exact factorisation of a tie, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special

from analysis.regression.glmm import glmm
from analysis.regression.ordinal import ordinal_mixed
from tests.analysis.votes_factory import crossed_comparison, make_comparison

RATES = ("win_rate", "tie_rate", "loss_rate")


def test_without_heterogeneity_the_rates_are_the_observed_ones():
    """Both SDs at 0 and one side: three outcomes, two parameters, so the fit is exact."""
    score = [1.0] * 30 + [0.5] * 12 + [0.0] * 18
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(60)
        comparison = make_comparison(np.array(score)[order], np.arange(60) % 6, np.arange(60) // 6, np.full(60, 0.5))
        fit = ordinal_mixed(comparison)
        if fit.singular == ("raters", "pairs"):
            break
    assert [getattr(fit, name).estimate for name in RATES] == pytest.approx([0.5, 0.2, 0.3], abs=1e-5)
    assert fit.marginal_score.estimate == pytest.approx(0.6, abs=1e-5)
    assert fit.half_width.estimate == pytest.approx(0.5 * (special.logit(0.7) - special.logit(0.5)), abs=1e-5)
    assert fit.log_likelihood == pytest.approx(30 * np.log(0.5) + 12 * np.log(0.2) + 18 * np.log(0.3), abs=1e-7)


def test_swapping_the_arms_exchanges_wins_and_losses():
    comparison = crossed_comparison(3)
    one, other = (
        ordinal_mixed(comparison),
        ordinal_mixed(make_comparison(1.0 - comparison.score, comparison.rater, comparison.pair, -comparison.side)),
    )
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    assert other.win_rate.estimate == pytest.approx(one.loss_rate.estimate, abs=1e-6)
    assert other.tie_rate.estimate == pytest.approx(one.tie_rate.estimate, abs=1e-6)
    assert other.half_width.ci95 == pytest.approx(one.half_width.ci95, rel=1e-3)


def test_the_three_rates_sum_to_one_and_stay_in_their_intervals():
    fit = ordinal_mixed(crossed_comparison(5))
    assert sum(getattr(fit, name).estimate for name in RATES) == pytest.approx(1.0, abs=1e-12)
    for name in RATES:
        rate = getattr(fit, name)
        assert 0.0 < rate.ci95[0] < rate.estimate < rate.ci95[1] < 1.0
    json.dumps(fit.as_json(), allow_nan=False)


def test_without_ties_it_is_the_logistic_model():
    comparison = crossed_comparison(6, ties=0.0)
    fit, logistic = ordinal_mixed(comparison), glmm(comparison)
    assert fit.log_likelihood == logistic.log_likelihood
    assert fit.marginal_score.estimate == logistic.marginal_rate.estimate
    assert fit.tie_rate.estimate == 0.0
    assert "no ties" in fit.reason
    assert fit.loss_rate.ci95 == pytest.approx(tuple(1.0 - bound for bound in logistic.marginal_rate.ci95[::-1]))


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ([], "no votes"),
        ([0.5] * 12, "0 votes for robust, 0 for vanilla"),
        ([1, 1, 0.5, 0.5] * 3, "6 votes for robust, 0 for vanilla"),
        ([1, 0.5, 1, 0] * 3, "one end of the scale"),
    ],
)
def test_refusals_name_their_reason(score, words):
    fit = ordinal_mixed(make_comparison(score, np.arange(len(score)) % 3, np.arange(len(score)) // 3))
    assert words in fit.reason
    assert fit.marginal_score.estimate is None
