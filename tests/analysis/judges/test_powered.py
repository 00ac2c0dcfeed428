"""The prediction-powered rate: right on average, shorter with a good judge, no worse with a useless one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from analysis.judges.powered import prediction_powered_rate
from analysis.preference.rate import two_way_t
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def simulated(seed, *, raters=30, pairs=60, unvoted=600, judge_noise=0.3, sd_rater=0.5, sd_pair=1.2, centre=0.4):
    """Return votes of raters crossed with some pairs, and a judge who sees every pair's own preference with noise."""
    rng = np.random.default_rng(seed)
    pair_effect = rng.normal(0.0, sd_pair, pairs + unvoted)
    judge = pair_effect + rng.normal(0.0, judge_noise, len(pair_effect))
    rater, pair = (grid.ravel() for grid in np.meshgrid(np.arange(raters), np.arange(pairs), indexing="ij"))
    logits = centre + rng.normal(0.0, sd_rater, raters)[rater] + pair_effect[pair]
    score = (rng.random(len(rater)) < special.expit(logits)).astype(float)
    return make_comparison(score, rater, pair), judge[pair], judge[pairs:]


def test_a_good_judge_shortens_the_interval():
    votes, judged, unvoted = simulated(0)
    powered = prediction_powered_rate(votes, judged, unvoted)
    assert powered.variance_ratio < 0.75
    low, high = powered.result.ci95
    plain_low, plain_high = two_way_t(votes).ci95
    assert high - low < plain_high - plain_low


def test_a_judge_of_one_opinion_changes_nothing():
    votes, judged, unvoted = simulated(1)
    powered = prediction_powered_rate(votes, np.ones_like(judged), np.ones_like(unvoted))
    plain = two_way_t(votes)
    assert powered.weight == 0.0
    assert powered.result.estimate == pytest.approx(plain.estimate)
    assert powered.result.se == pytest.approx(plain.se)


@pytest.mark.parametrize("raters", [7, 20, 30, 49])
@pytest.mark.parametrize("opinion", [1.0, 0.1 + 0.2, -1e-9])
def test_rounding_makes_no_second_opinion(raters, opinion):
    """Where the weights missed 1 by the last bit, the rate became 0.5 and the interval three times as long."""
    votes, judged, unvoted = simulated(1, raters=raters)
    almost = np.where(np.arange(len(judged)) % 2, opinion, np.nextafter(opinion, 2.0))
    powered = prediction_powered_rate(votes, almost, np.full_like(unvoted, opinion))
    assert powered.weight == 0.0
    assert powered.result.estimate == pytest.approx(two_way_t(votes).estimate)


def test_scores_of_any_size_are_read_in_their_own_unit():
    votes, judged, unvoted = simulated(2)
    one = prediction_powered_rate(votes, judged, unvoted)
    for unit in (1e300, 1e-300):
        other = prediction_powered_rate(votes, unit * judged, unit * unvoted)
        assert other.result.estimate == pytest.approx(one.result.estimate)
        assert other.result.se == pytest.approx(one.result.se)
        assert unit * other.weight == pytest.approx(one.weight)


def test_the_unit_of_the_score_does_not_matter():
    votes, judged, unvoted = simulated(2)
    one = prediction_powered_rate(votes, judged, unvoted).result
    other = prediction_powered_rate(votes, 100 * judged - 7, 100 * unvoted - 7).result
    assert one.estimate == pytest.approx(other.estimate)
    assert one.se == pytest.approx(other.se)


def test_the_interval_covers_the_truth_in_about_95_percent_of_studies():
    """200 studies: 95 % +- 2 Monte-Carlo errors of 1.5 points; ``benchmarks/judges.py`` has the full table."""
    centre, sd = 0.4, np.sqrt(0.5**2 + 1.2**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    truth = special.expit(centre + sd * nodes) @ weights / weights.sum()
    results = [prediction_powered_rate(*simulated(100 + seed)).result for seed in range(200)]
    covered = np.mean([result.ci95[0] <= truth <= result.ci95[1] for result in results])
    assert 0.92 <= covered <= 0.985
    assert np.mean([result.estimate for result in results]) == pytest.approx(truth, abs=0.01)


def test_sites_are_the_sampled_units_where_raters_are_grouped_in_them():
    votes, judged, unvoted = simulated(4, raters=24)
    plain = prediction_powered_rate(votes, judged, unvoted).result
    sites = np.array([f"site {code}" for code in range(4)], dtype=object)[votes.rater % 4]
    grouped = replace(votes, extra={"site": sites})
    result = prediction_powered_rate(grouped, judged, unvoted).result
    assert (plain.df, result.df) == (23, 3)
    assert result.ci95[1] - result.ci95[0] > plain.ci95[1] - plain.ci95[0]
    alone = replace(votes, extra={"site": np.full(len(votes), "site 0", dtype=object)})
    assert prediction_powered_rate(alone, judged, unvoted).result == plain


def test_votes_on_pairs_without_a_score_are_left_out_and_counted():
    votes, judged, unvoted = simulated(3)
    judged = np.where(votes.pair == 5, np.nan, judged)
    result = prediction_powered_rate(votes, judged, unvoted).result
    assert result.n_pairs == 59
    assert "30 votes on pairs without a score left out" in result.reason


@pytest.mark.parametrize(
    ("votes", "unvoted", "reason"),
    [
        (crossed_comparison(0, raters=5, pairs=5), 50, "only 5 raters and 5 voted pairs"),
        (crossed_comparison(0, raters=5, pairs=20), 1, "only 1 scored pairs without votes"),
        (make_comparison([], [], []), 50, "only 0 raters and 0 voted pairs"),
    ],
)
def test_too_little_is_refused_with_the_reason(votes, unvoted, reason):
    judged = np.linspace(-1, 1, len(votes))
    powered = prediction_powered_rate(votes, judged, np.linspace(-1, 1, unvoted))
    assert powered.result.estimate is None
    assert reason in powered.result.reason
