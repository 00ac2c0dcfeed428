import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.preference.position import adjusted_rate, left_rate, position_effect, rater_left_shares
from analysis.preference.rate import two_way_t
from tests.analysis.votes_factory import crossed_comparison, make_comparison, make_table, stored_table


def test_left_rate_is_the_exact_binomial_of_decisive_votes():
    rows = [
        ("a", f"p{n}", "robust", "vanilla", choice) for n, choice in enumerate(["left"] * 8 + ["right"] * 2 + ["tie"])
    ]
    result = left_rate(make_table(rows))
    assert result.estimate == 0.8
    assert result.p_value == pytest.approx(stats.binomtest(8, 10).pvalue)
    assert result.n_votes == 10


def test_position_effect_is_the_slope_of_the_weighted_regression():
    comparison = crossed_comparison(3, keep=0.6, position=1.0)
    load = np.bincount(comparison.rater)
    fit = sm.WLS(comparison.score, sm.add_constant(comparison.side), weights=1 / load[comparison.rater]).fit()
    assert position_effect(comparison).estimate == pytest.approx(fit.params[1], abs=1e-12)
    assert adjusted_rate(comparison).estimate == pytest.approx(fit.params[0], abs=1e-12)


def test_the_effect_has_the_error_of_a_two_way_clustered_slope():
    comparison = crossed_comparison(3, keep=0.6, position=1.0)
    load = np.bincount(comparison.rater)
    groups = np.column_stack([comparison.rater, comparison.pair])
    fit = sm.WLS(comparison.score, sm.add_constant(comparison.side), weights=1 / load[comparison.rater]).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    unscaled = fit.bse[1] * np.sqrt((len(comparison) - 2) / (len(comparison) - 1))
    # The floor may raise ours above the difference of components, never below it.
    assert position_effect(comparison).se >= unscaled - 1e-12
    assert position_effect(comparison).se == pytest.approx(unscaled, rel=0.2)


def test_under_unbalanced_sides_the_raw_rate_is_biased_and_the_adjusted_one_is_not():
    scenario = Scenario(
        raters=400, pairs=400, votes_per_rater=80, preference=0.55, left_share=0.8, position_bias=1.5, seed=3
    )
    comparison, truth = simulate_votes(scenario).comparison("robust", "vanilla"), marginal_rates(scenario).ties_split
    raw, adjusted = two_way_t(comparison), adjusted_rate(comparison)
    assert abs(raw.estimate - truth) > 5 * raw.se
    assert abs(adjusted.estimate - truth) < 3 * adjusted.se


def test_one_side_never_shown_is_not_estimable():
    comparison = make_comparison([1, 0, 1], [0, 1, 1], [0, 0, 1], [0.5, 0.5, 0.5])
    assert "one side only" in adjusted_rate(comparison).reason
    assert "one side only" in position_effect(comparison).reason
    assert position_effect(make_comparison([], [], [])).reason == "no votes"


def test_left_shares_of_single_raters():
    table = stored_table("careless")
    shares = rater_left_shares(table)
    assert [share.rater for share in shares] == list(table.raters)
    for code, share in enumerate(shares):
        own = table.choice[table.rater == code]
        assert (share.left, share.right, share.ties) == tuple(int((own == side).sum()) for side in (0, 1, 2))
        assert share.p_value == pytest.approx(stats.binomtest(share.left, share.left + share.right).pvalue)


def test_a_rater_who_only_ties_has_no_share():
    (share,) = rater_left_shares(make_table([("a", "x", "robust", "vanilla", "tie")]))
    assert share.share is share.p_value is None
