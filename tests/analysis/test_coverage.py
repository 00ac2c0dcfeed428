"""The headline interval covers the truth in about 95 % of studies; ``benchmarks/coverage.py`` has the full table."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.preference.equivalence import tost
from analysis.preference.rate import headline, rater_mean_t, two_way_t, wilson

REPETITIONS = 400

DESIGNS = {
    "full, few raters": Scenario(raters=8, pairs=60, preference=0.6),
    "full": Scenario(raters=20, pairs=40, preference=0.6),
    "sparse": Scenario(raters=60, pairs=60, votes_per_rater=10, preference=0.65, tie_rate=0.1),
    "more raters than pairs": Scenario(raters=50, pairs=30, preference=0.6),
    "unequal loads": Scenario(raters=40, pairs=60, votes_per_rater=np.array([3] * 25 + [40] * 15), sd_rater=0.7),
}


def coverage(scenario, methods):
    truth = marginal_rates(scenario)
    held = np.zeros(len(methods))
    for seed in range(REPETITIONS):
        comparison = simulate_votes(replace(scenario, seed=seed)).comparison("robust", "vanilla")
        for row, (method, target) in enumerate(methods):
            low, high = method(comparison).ci95
            held[row] += low <= getattr(truth, target) <= high
    return held / REPETITIONS


@pytest.mark.parametrize("name", DESIGNS)
def test_the_headline_covers_within_monte_carlo_error(name):
    (covered,) = coverage(DESIGNS[name], [(two_way_t, "ties_split")])
    # Three standard errors of 95 % in 400 runs; above it the floor is allowed its little conservatism.
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS) <= covered <= 0.99


def test_intervals_that_take_pairs_as_fixed_or_votes_as_independent_do_not_cover_both():
    two_way, users, independent = coverage(
        DESIGNS["more raters than pairs"],
        [(two_way_t, "ties_split"), (rater_mean_t, "ties_split"), (wilson, "decisive")],
    )
    assert independent < users < two_way
    assert users < 0.85


def results(scenario, method):
    """The method's result on each simulated study."""
    for seed in range(REPETITIONS):
        yield method(simulate_votes(replace(scenario, seed=seed)).comparison("robust", "vanilla"))


def test_the_headline_covers_under_position_bias_and_unbalanced_sides():
    scenario = Scenario(raters=40, pairs=50, left_share=0.7, position_bias=0.8, tie_rate=0.1)
    (covered,) = coverage(scenario, [(headline, "ties_split")])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)


def test_without_a_preference_the_headline_rejects_in_about_five_percent():
    scenario = Scenario(raters=25, pairs=40, votes_per_rater=20, preference=0.5, tie_rate=0.2)
    rejected = np.mean([result.p_value <= 0.05 for result in results(scenario, headline)])
    assert rejected <= 0.05 + 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)


def test_at_the_margin_equivalence_is_claimed_in_at_most_five_percent():
    scenario = Scenario(raters=60, pairs=100, votes_per_rater=40, preference=0.56, sd_rater=0.3, sd_pair=0.3)
    truth = marginal_rates(scenario).ties_split
    claimed = np.mean([result.p_value <= 0.05 for result in results(scenario, lambda d: tost(d, margin=truth - 0.5))])
    assert claimed <= 0.05 + 3 * np.sqrt(0.95 * 0.05 / REPETITIONS)
    assert claimed > 0.01
