import io

import numpy as np
import pytest

from analysis.inference.counts import count_sides, count_votes
from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes, write_simulated
from analysis.preference.rate import two_way_t
from tests.analysis.votes_factory import stored_names, stored_table


def test_the_same_scenario_gives_the_same_table_and_another_seed_another():
    one, two, other = (simulate_votes(Scenario(seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.choice, two.choice)
    assert not np.array_equal(one.choice, other.choice)


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(raters=1500, pairs=1500, votes_per_rater=60, preference=0.6, sd_rater=0.7, sd_pair=0.9, seed=1),
        Scenario(raters=1500, pairs=1500, votes_per_rater=60, preference=0.7, tie_rate=0.3, lapse_rate=0.1, seed=2),
        Scenario(raters=1500, pairs=1500, votes_per_rater=60, position_bias=1.5, careless_share=0.2, seed=3),
    ],
    ids=["heterogeneous", "ties and lapses", "position and careless raters"],
)
def test_simulated_votes_tend_to_the_stated_marginal_rate(scenario):
    comparison = simulate_votes(scenario).comparison("robust", "vanilla")
    result, truth = two_way_t(comparison), marginal_rates(scenario)
    assert abs(result.estimate - truth.ties_split) < 4 * result.se
    assert abs(count_votes(comparison).decisive_rate - truth.decisive) < 5 * result.se


def test_without_heterogeneity_the_marginal_rate_is_the_preference_itself():
    scenario = Scenario(preference=0.7, sd_rater=0, sd_pair=0)
    assert marginal_rates(scenario).decisive == pytest.approx(0.7, abs=1e-12)
    assert marginal_rates(scenario, "vanilla", "robust").decisive == pytest.approx(0.3, abs=1e-12)


def test_sides_are_balanced_within_each_rater_unless_a_share_is_asked_for():
    comparison = simulate_votes(Scenario(raters=9, pairs=31)).comparison("robust", "vanilla")
    assert np.abs(np.bincount(comparison.rater, weights=comparison.side)).max() == 0.5
    comparison = simulate_votes(Scenario(raters=50, pairs=100, left_share=0.8)).comparison("robust", "vanilla")
    assert (comparison.side > 0).mean() == pytest.approx(0.8, abs=0.03)


def test_position_bias_favours_the_left():
    sides = count_sides(simulate_votes(Scenario(raters=50, pairs=100, position_bias=2.0)))
    assert sides.left_share > 0.65


def test_a_rater_sees_a_pair_once_and_repeats_swap_its_sides():
    table = simulate_votes(Scenario(raters=8, pairs=30, votes_per_rater=12, repeats=4, seed=5))
    first = ~table.extra["is_repeat"]
    seen = set(zip(table.rater[first], table.pair[first], strict=True))
    assert len(seen) == first.sum() == 8 * 12
    for row in np.flatnonzero(~first):
        twin = first & (table.rater == table.rater[row]) & (table.pair == table.pair[row])
        assert table.arm_left[twin].item() == table.arm_right[row]
        assert table.extra["position"][twin].item() < table.extra["position"][row]
    assert (~first).sum() == 8 * 4


def test_the_written_csv_has_the_contract_s_names():
    stream = io.StringIO()
    write_simulated(simulate_votes(Scenario(raters=2, pairs=2)), stream)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("rater,pair,arm_left,arm_right,choice,class_label,response_ms")
    assert len(lines) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"raters": 0},
        {"preference": 1.0},
        {"tie_rate": 1.2},
        {"sd_pair": -1},
        {"votes_per_rater": 51},
        {"repeats": 51},
        {"left_share": 2},
        {"strengths": {"one": 1.0}},
    ],
)
def test_values_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Scenario(**wrong)


def test_at_least_ten_tables_are_stored():
    assert len(stored_names()) >= 10
    assert count_votes(stored_table("full_20x30").comparison("robust", "vanilla")).votes == 600
