import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.preference.position import adjusted_rate, left_rate, position_effect, rater_left_shares
from analysis.preference.rate import two_way_t
from tests.analysis.votes_factory import crossed_comparison, make_comparison, make_table, stored_table


def test_left_rate_has_the_two_way_error_of_a_mean_over_votes():
    table = stored_table("many_ties")
    kept = table.rows(table.choice != 2)
    left = (kept.choice == 0).astype(float)
    ones = np.ones((len(left), 1))
    groups = np.column_stack((kept.rater, kept.pair))
    fit = sm.OLS(left, ones)
    variances = [
        fit.fit(cov_type="cluster", cov_kwds={"groups": group, "use_correction": False}).cov_params()[0, 0]
        * count
        / (count - 1)
        for group in (groups[:, 0], groups[:, 1], np.unique(groups, axis=0, return_inverse=True)[1].ravel())
        for count in [len(np.unique(group))]
    ]
    result = left_rate(table)
    assert result.estimate == pytest.approx(left.mean())
    assert result.se**2 == pytest.approx(max(variances[0] + variances[1] - variances[2], *variances[:2]))
    assert result.df == min(len(np.unique(kept.rater)), len(np.unique(kept.pair))) - 1


def test_raters_who_lean_each_their_own_way_are_no_side_bias():
    """Line 1.6: with votes as independent this null was rejected in 26 % of studies."""
    rng, false = np.random.default_rng(3), []
    for _ in range(200):
        lean = rng.normal(0, 0.7, 24)
        rows = [
            (f"r{rater}", f"p{pair}", *("ab" if (rater + pair) % 2 else "ba"), "left" if left else "right")
            for rater in range(24)
            for pair, left in enumerate(rng.random(20) < 1 / (1 + np.exp(-lean[rater])))
        ]
        false.append(left_rate(make_table(rows)).p_value < 0.05)
    assert np.mean(false) <= 0.05 + 3 * 0.0155


def test_when_all_press_left_there_is_a_share_and_no_interval():
    rows = [(f"r{n % 4}", f"p{n // 4}", "robust", "vanilla", "left") for n in range(24)]
    result = left_rate(make_table(rows))
    assert (result.estimate, result.ci95) == (1.0, None)
    assert "no variation" in result.reason


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
