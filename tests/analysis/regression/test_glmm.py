"""The crossed logistic mixed model: symmetry, invariance, truth recovered, refusals that name their reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.regression.glmm import glmm
from tests.analysis.votes_factory import crossed_comparison, make_comparison

CONTRACT = {"intercept", "position", "sd_rater", "sd_pair", "log_likelihood", "marginal_rate"}


def swapped_arms(comparison):
    return make_comparison(1.0 - comparison.score, comparison.rater, comparison.pair, -comparison.side)


def test_swapping_the_arms_flips_the_preference_and_keeps_the_fit():
    one, other = glmm(crossed_comparison(3)), glmm(swapped_arms(crossed_comparison(3)))
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    assert other.intercept.estimate == pytest.approx(-one.intercept.estimate, abs=1e-5)
    assert other.marginal_rate.estimate == pytest.approx(1.0 - one.marginal_rate.estimate, abs=1e-6)
    assert other.marginal_rate.p_value == pytest.approx(one.marginal_rate.p_value, rel=1e-3)
    assert other.position.estimate == pytest.approx(one.position.estimate, abs=1e-5)


def test_mirroring_the_screen_flips_the_position_effect_only():
    comparison = crossed_comparison(4)
    one, other = glmm(comparison), glmm(replace(comparison, side=-comparison.side))
    assert other.position.estimate == pytest.approx(-one.position.estimate, abs=1e-5)
    assert other.intercept.estimate == pytest.approx(one.intercept.estimate, abs=1e-5)
    assert other.marginal_rate.estimate == pytest.approx(one.marginal_rate.estimate, abs=1e-6)


def test_exchanging_raters_and_pairs_exchanges_their_sds():
    comparison = crossed_comparison(5, raters=15, pairs=25)
    one, other = glmm(comparison), glmm(replace(comparison, rater=comparison.pair, pair=comparison.rater))
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-7)
    assert (other.sd_rater, other.sd_pair) == pytest.approx((one.sd_pair, one.sd_rater), abs=1e-5)


def test_row_order_and_codes_change_no_bit():
    comparison = crossed_comparison(6, keep=0.6)
    order = np.random.default_rng(1).permutation(len(comparison))
    shuffled = make_comparison(
        comparison.score[order], 7 * comparison.rater[order] + 2, 3 * comparison.pair[order], comparison.side[order]
    )
    assert glmm(shuffled) == glmm(comparison)


def test_truth_is_recovered_within_its_errors():
    scenario = Scenario(raters=150, pairs=120, votes_per_rater=60, preference=0.65, position_bias=0.5, seed=11)
    comparison = simulate_votes(scenario).comparison("robust", "vanilla")
    fit = glmm(comparison)
    truth = ((fit.intercept, special.logit(0.65)), (fit.position, 0.5))
    assert all(abs(found.estimate - wanted) < 3.5 * found.se for found, wanted in truth)
    assert fit.sd_rater_ci95[0] < 0.5 < fit.sd_rater_ci95[1]
    assert fit.sd_pair_ci95[0] < 0.8 < fit.sd_pair_ci95[1]
    low, high = fit.marginal_rate.ci95
    assert low < marginal_rates(scenario).decisive < high


def test_the_marginal_rate_lies_between_one_half_and_the_conditional():
    fit = glmm(crossed_comparison(7, sd_rater=1.0, sd_pair=1.0))
    assert 0.5 < fit.marginal_rate.estimate < fit.conditional_rate.estimate
    assert fit.share_rater + fit.share_pair < 1.0


def test_json_has_the_keys_of_the_report_and_no_nan():
    values = json.loads(json.dumps(glmm(crossed_comparison(8)).as_json(), allow_nan=False))
    assert set(values) >= CONTRACT


@pytest.mark.parametrize(
    ("score", "rater", "pair", "side", "words"),
    [
        ([], [], [], [], "no decisive votes"),
        ([0.5] * 4, [0, 0, 1, 1], [0, 1, 0, 1], None, "no decisive votes"),
        ([1, 1, 0, 0], [2, 2, 2, 2], [0, 1, 0, 1], None, "only 1 rater"),
        ([1, 1, 0, 0], [0, 1, 0, 1], [3, 3, 3, 3], None, "only 1 pair"),
        ([1] * 6, [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], None, "separation: with robust on the left all 3"),
        ([1, 0, 0, 0, 1, 0], [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], None, "on the right all 3 decisive votes went to"),
        ([1, 1, 0, 0] * 4, [0, 0, 1, 1] * 4, [0, 1, 2, 3] * 4, [0.5, -0.5] * 8, "every rater's votes go one way"),
    ],
)
def test_refusals_name_their_reason(score, rater, pair, side, words):
    fit = glmm(make_comparison(score, rater, pair, side))
    assert words in fit.reason
    for part in (fit.intercept, fit.position, fit.marginal_rate, fit.conditional_rate):
        assert part.estimate is None
        assert words in part.reason
    assert (fit.separation is not None) == ("separation" in fit.reason)


def test_one_side_only_refuses_the_position_effect_alone():
    comparison = crossed_comparison(9)
    fit = glmm(replace(comparison, side=np.full(len(comparison), 0.5)))
    assert fit.position.estimate is None
    assert "one side only" in fit.position.reason
    assert fit.marginal_rate.ci95 is not None


def test_an_sd_without_information_is_left_out_and_named():
    rng = np.random.default_rng(0)
    comparison = make_comparison(rng.integers(0, 2, 120), np.arange(120) % 12, np.arange(120))
    fit = glmm(comparison)
    assert fit.sd_pair is None
    assert "every pair has one vote" in fit.reason
    assert fit.marginal_rate.estimate is not None


def test_a_singular_fit_names_the_factor_at_zero():
    rng = np.random.default_rng(12)
    rater, pair = np.repeat(np.arange(20), 20), np.tile(np.arange(20), 20)
    found = [glmm(make_comparison(rng.integers(0, 2, 400), rater, pair)) for _ in range(6)]
    singular = [fit for fit in found if fit.singular]
    assert singular
    for fit in singular:
        sds = {"raters": fit.sd_rater, "pairs": fit.sd_pair}
        assert fit.singular == tuple(name for name, sd in sds.items() if sd == 0.0)
        assert all(f"SD of {name} is estimated at 0" in fit.reason for name in fit.singular)
        assert fit.intercept.se > 0


def test_an_sd_below_its_standard_error_has_no_interval_and_says_so():
    # Two opposite rater tendencies so weak that the SD is barely above 0.
    for seed in range(40):
        fit = glmm(crossed_comparison(seed, raters=12, pairs=14, sd_rater=0.1, sd_pair=0.8))
        if fit.sd_rater and fit.sd_rater_ci95 is None:
            break
    assert fit.sd_rater > 0.0
    assert "SD of raters is below its standard error" in fit.reason
    assert fit.sd_pair_ci95[0] < fit.sd_pair < fit.sd_pair_ci95[1]
    assert fit.marginal_rate.ci95 is not None


def test_a_class_whose_votes_all_go_one_way_is_named_and_changes_no_number():
    comparison = crossed_comparison(3)
    label = np.where(comparison.pair == 0, "seven", np.where(comparison.pair == 1, "", "other"))
    score = np.where(comparison.pair <= 1, 1.0, comparison.score)
    plain = glmm(replace(comparison, score=score))
    named = glmm(replace(comparison, score=score, extra={"class_label": label}))
    assert "1 class has all decisive votes one way (seven)" in named.reason
    assert named.log_likelihood == plain.log_likelihood
    assert plain.reason is None
