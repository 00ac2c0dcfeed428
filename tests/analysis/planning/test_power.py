import numpy as np
import pytest
from scipy import stats

from analysis.planning.power import (
    VarianceComponents,
    estimated_components,
    expected_components,
    plan_power,
    plan_power_from,
    simulate_power,
)
from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def test_expected_components_are_those_of_simulated_votes():
    shape = {"preference": 0.65, "sd_rater": 0.6, "sd_pair": 0.9, "tie_rate": 0.2, "lapse_rate": 0.05}
    scenario = Scenario(raters=1200, pairs=1200, votes_per_rater=120, seed=4, **shape)
    expected = expected_components(Scenario(**shape))
    found = estimated_components(simulate_votes(scenario).comparison("robust", "vanilla"))
    assert expected.rate == pytest.approx(marginal_rates(scenario).ties_split, abs=1e-9)
    assert found.rate == pytest.approx(expected.rate, abs=0.01)
    assert found.rater == pytest.approx(expected.rater, rel=0.15)
    assert found.pair == pytest.approx(expected.pair, rel=0.15)
    assert found.residual == pytest.approx(expected.residual, rel=0.02)


def test_without_heterogeneity_only_the_binomial_variance_is_left():
    components = expected_components(Scenario(preference=0.7, sd_rater=0, sd_pair=0))
    assert components.rater == pytest.approx(0, abs=1e-12)
    assert components.pair == pytest.approx(0, abs=1e-12)
    assert components.residual == pytest.approx(0.21)


def test_estimated_components_of_a_full_table_are_the_anova_ones():
    comparison = crossed_comparison(7, raters=12, pairs=18, sd_rater=1.0)
    table = comparison.score.reshape(12, 18)
    rater, pair, grand = table.mean(axis=1), table.mean(axis=0), table.mean()
    rest = table - rater[:, None] - pair + grand
    residual = (rest**2).sum() / (11 * 17)
    between_raters = 18 * ((rater - grand) ** 2).sum() / 11
    between_pairs = 12 * ((pair - grand) ** 2).sum() / 17
    found = estimated_components(comparison)
    assert found.residual == pytest.approx(residual)
    assert found.rater == pytest.approx((between_raters - residual) / 18)
    assert found.pair == pytest.approx((between_pairs - residual) / 12)


@pytest.mark.parametrize(
    "comparison", [make_comparison([1, 0], [0, 0], [0, 1]), make_comparison([1, 0, 1], [0, 1, 1], [0, 0, 1])]
)
def test_a_pilot_too_small_is_refused(comparison):
    with pytest.raises(ValueError, match="do not separate"):
        estimated_components(comparison)


@pytest.mark.parametrize("design", [(20, 100, None), (200, 200, 20), (8, 200, None)])
def test_power_agrees_with_simulation(design):
    raters, pairs, load = design
    plan = plan_power(Scenario(raters=raters, pairs=pairs, votes_per_rater=load, preference=0.58))
    scenario = Scenario(raters=raters, pairs=pairs, votes_per_rater=load, preference=0.58, seed=1)
    simulated = simulate_power(scenario, repetitions=300)
    assert abs(plan.power - simulated.power) < 4 * simulated.power_se + 0.02
    assert simulated.mean_half_width == pytest.approx(plan.half_width, rel=0.12)
    assert simulated.coverage > 0.91


def test_raters_needed_are_the_fewest_that_reach_the_target():
    plan = plan_power(Scenario(raters=20, pairs=150, preference=0.6))
    assert plan_power(Scenario(raters=plan.raters_needed, pairs=150, preference=0.6)).power >= 0.8
    assert plan_power(Scenario(raters=plan.raters_needed - 1, pairs=150, preference=0.6)).power < 0.8


def test_raters_beyond_the_places_buy_nothing():
    design = {"pairs": 40, "votes_per_rater": 40, "preference": 0.6}
    many = plan_power(Scenario(raters=60, **design), votes_per_pair=12)
    few = plan_power(Scenario(raters=12, **design))
    assert (many.raters_with_places, many.votes, many.power) == (12, 480, few.power)
    assert "more raters than places" in many.reason
    assert "more raters" not in few.reason
    # What would be enough has its places: neither the raters nor the pairs needed are bound by today's.
    reached = Scenario(raters=many.raters_needed, **design)
    assert plan_power(reached, votes_per_pair=many.votes_per_pair_needed).power >= 0.8
    assert plan_power(reached, votes_per_pair=many.votes_per_pair_needed - 1).power < 0.8
    wider = Scenario(raters=60, pairs=many.pairs_needed, votes_per_rater=40, preference=0.6)
    assert plan_power(wider, votes_per_pair=12).power >= 0.8


def test_a_place_for_nobody_is_refused():
    with pytest.raises(ValueError, match="votes_per_pair is 0"):
        plan_power(Scenario(), votes_per_pair=0)


def test_too_few_pairs_cannot_be_bought_back_with_raters():
    plan = plan_power(Scenario(raters=500, pairs=12, preference=0.58))
    assert plan.raters_needed is None
    assert plan.ceiling_power < 0.8
    assert "cannot be bought back" in plan.reason
    assert plan_power(Scenario(raters=10**6, pairs=12, preference=0.58)).power == pytest.approx(
        plan.ceiling_power, abs=1e-3
    )
    assert plan_power(Scenario(raters=500, pairs=plan.pairs_needed, preference=0.58)).power >= 0.8


def test_the_ceiling_is_stated_even_where_it_does_not_bind():
    assert "no number of raters" in plan_power(Scenario(raters=30, pairs=100)).reason


def test_power_of_independent_votes_is_that_of_a_t_test():
    components = VarianceComponents(rate=0.6, rater=0.04, pair=0.0, residual=0.0)
    plan = plan_power_from(components, raters=15, pairs=10_000)
    shift, critical = 0.1 / np.sqrt(0.04 / 15), stats.t.ppf(0.975, 14)
    expected = stats.nct.sf(critical, 14, shift) + stats.nct.cdf(-critical, 14, shift)
    assert plan.power == pytest.approx(expected)
    assert plan.ceiling_power == 1.0


def test_without_a_preference_power_is_the_significance_level_and_nothing_is_enough():
    plan = plan_power(Scenario(raters=30, pairs=50, preference=0.5))
    assert plan.power == pytest.approx(0.05, abs=1e-6)
    assert plan.raters_needed is None
    assert plan.pairs_needed is None


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"raters": 1}, "raters is 1"),
        ({"votes_per_rater": 99}, "votes_per_rater is 99"),
        ({"preference": 0.0}, "preference"),
        ({"sd_pair": -1}, "sd_pair"),
        ({"votes_per_rater": np.full(20, 5)}, "differs between raters"),
        ({"strengths": {"a": 0.0, "b": 1.0}}, "strengths is"),
        ({"careless_share": 0.1}, "careless_share is 0.1; planning leaves it out: give 0.0"),
        ({"sd_class": 0.3}, "sd_class is 0.3"),
        ({"left_share": 0.5}, "left_share is 0.5"),
        ({"repeats": 2}, "repeats is 2"),
    ],
)
def test_impossible_plans_are_refused_by_name(wrong, word):
    with pytest.raises(ValueError, match=word):
        plan_power(Scenario(**{"raters": 20, "pairs": 50, **wrong}))


def test_power_to_reach_is_a_probability():
    with pytest.raises(ValueError, match="target_power"):
        plan_power(Scenario(), target_power=1.0)


def test_too_few_repetitions_are_refused():
    with pytest.raises(ValueError, match="repetitions is 3"):
        simulate_power(Scenario(), repetitions=3)
