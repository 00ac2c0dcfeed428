import itertools
import json
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from scipy import stats

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.raters.agreement import (
    agreement,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    majority_histogram,
    majority_share,
    split_half_correlation,
)
from analysis.votes.table import LEFT, TIE
from tests.analysis.votes_factory import make_table, stored_names, stored_table

COEFFICIENTS = [krippendorff_alpha, fleiss_kappa, gwet_ac1]
CHOICES = ("left", "right", "left")
# Over two arms the published coefficients apply as they are; several arms have tests of their own.
TWO_ARMS = [name for name in stored_names() if name != "four_arms"]


def comparisons(table):
    """One table for each two arms shown together."""
    first, second = np.minimum(table.arm_left, table.arm_right), np.maximum(table.arm_left, table.arm_right)
    shown = sorted(set(zip(first.tolist(), second.tolist(), strict=True)))
    return [table.rows((first == one) & (second == other)) for one, other in shown]


def value_counts(table, *, ties):
    """Values per pair and arms shown, counted in a loop, repeats left out."""
    counts = {}
    repeat = table.extra.get("is_repeat", np.zeros(len(table), dtype=bool))
    for row in range(len(table)):
        if repeat[row] or (table.choice[row] == TIE and not ties):
            continue
        arms = (int(table.arm_left[row]), int(table.arm_right[row]))
        value = len(table.arms) if table.choice[row] == TIE else arms[int(table.choice[row] != LEFT)]
        unit = counts.setdefault((int(table.pair[row]), *sorted(arms)), np.zeros(len(table.arms) + 1, dtype=int))
        unit[value] += 1
    stacked = np.array(list(counts.values()))
    return stacked[:, stacked.any(axis=0)]


@pytest.mark.parametrize("ties", [False, True])
def test_alpha_of_several_arms_adds_the_disagreements_of_each_comparison(ties):
    table = stored_table("four_arms")
    observed = expected = 0.0
    for part in comparisons(table):
        counts = value_counts(part, ties=ties)
        totals = counts[counts.sum(axis=1) > 1].sum(axis=0)
        n = totals.sum()
        by_chance = (n**2 - (totals**2).sum()) / (n - 1)
        expected += by_chance
        observed += by_chance * (1 - krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
    assert krippendorff_alpha(table, ties=ties).estimate == pytest.approx(1 - observed / expected, abs=1e-9)


def test_kappa_and_ac1_of_several_arms_average_the_chance_agreement_of_each_comparison():
    table = stored_table("four_arms")
    agreeing, by_chance, units = [], np.zeros(2), 0
    for part in comparisons(table):
        counts = value_counts(part, ties=True)
        agreeing += [(c * (c - 1)).sum() / (c.sum() * (c.sum() - 1)) for c in counts if c.sum() > 1]
        shares = np.mean([c / c.sum() for c in counts], axis=0)
        by_chance += len(counts) * np.array([(shares**2).sum(), (shares * (1 - shares)).sum() / (len(shares) - 1)])
        units += len(counts)
    expected = (np.mean(agreeing) - by_chance / units) / (1 - by_chance / units)
    found = [measure(table, ties=True).estimate for measure in (fleiss_kappa, gwet_ac1)]
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_fair_coins_over_four_arms_do_not_seem_to_agree(coefficient):
    arms = dict.fromkeys(("robust", "clean", "ensemble", "vanilla"), 0.0)
    table = simulate_votes(Scenario(raters=40, pairs=100, strengths=arms, sd_rater=0.0, sd_pair=0.0, seed=7))
    assert abs(coefficient(table).estimate) < 0.05


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_one_value_in_every_comparison_is_null_and_not_one(coefficient):
    comparisons = [("robust", "vanilla"), ("robust", "clean"), ("vanilla", "clean")]
    table = make_table([(r, p, *comparison, "left") for r in "abc" for p in "xy" for comparison in comparisons])
    assert "only one value" in coefficient(table).reason


@pytest.mark.parametrize("name", TWO_ARMS)
def test_kappa_and_ac1_are_their_definitions(name):
    table = stored_table(name)
    counts = value_counts(table, ties=True)
    loads = counts.sum(axis=1)
    agreeing = np.mean([(c * (c - 1)).sum() / (m * (m - 1)) for c, m in zip(counts, loads, strict=True) if m > 1])
    shares = np.mean([c / m for c, m in zip(counts, loads, strict=True)], axis=0)
    kappa_chance, ac1_chance = (shares**2).sum(), (shares * (1 - shares)).sum() / (len(shares) - 1)
    assert fleiss_kappa(table, ties=True).estimate == pytest.approx((agreeing - kappa_chance) / (1 - kappa_chance))
    assert gwet_ac1(table, ties=True).estimate == pytest.approx((agreeing - ac1_chance) / (1 - ac1_chance))


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_interval_holds_the_estimate_and_low_agreement_is_put_in_context(coefficient):
    result = coefficient(stored_table("strong_pairs"))
    assert result.ci95[0] < result.estimate < result.ci95[1]
    assert "normal in preference data" in result.reason


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_one_value_used_is_null_and_not_one(coefficient):
    table = make_table([(r, p, "robust", "vanilla", "left") for r in "abc" for p in "xy"])
    assert coefficient(table).estimate is None
    assert "only one value" in coefficient(table).reason


@pytest.mark.parametrize("measure", [*COEFFICIENTS, majority_share])
def test_no_pair_with_two_votes_is_null(measure):
    table = make_table([("a", "x", "robust", "vanilla", "left"), ("b", "y", "robust", "vanilla", "right")])
    assert "no pair has two votes" in measure(table).reason
    assert "no pair has two votes" in measure(table.rows(np.zeros(2, dtype=bool))).reason


def test_bootstrap_interval_of_alpha_covers_as_resampling_pairs_does():
    table = stored_table("full_12x40_no_ties")
    counts = value_counts(table, ties=False)
    rng = np.random.default_rng(0)
    drawn = [
        krippendorff.alpha(
            value_counts=counts[rng.integers(len(counts), size=len(counts))], level_of_measurement="nominal"
        )
        for _ in range(1000)
    ]
    assert krippendorff_alpha(table).se == pytest.approx(np.std(drawn), rel=0.1)


def test_majority_share_is_counted_over_pairs():
    votes = {"x": "lllr", "y": "llr", "z": "rr", "w": "lr", "v": "l"}
    rows = [
        (f"r{n}", pair, "robust", "vanilla", "left" if vote == "l" else "right")
        for pair, given in votes.items()
        for n, vote in enumerate(given)
    ]
    # Above 2/3: x (3 of 4) and z (2 of 2); y has exactly 2/3; v has a single vote and does not count.
    assert majority_share(make_table(rows)).estimate == pytest.approx(2 / 4)


def test_majority_histogram_expects_the_binomial_and_keeps_the_number_of_pairs():
    comparison = stored_table("sparse_60x50").comparison("robust", "vanilla")
    histogram = majority_histogram(comparison, bins=7)
    assert histogram.observed.sum() == 50
    assert histogram.expected.sum() == pytest.approx(50)
    assert histogram.expected == pytest.approx(histogram.expected[::-1], rel=0.6)


def test_strong_pairs_spread_wider_than_the_binomial():
    histogram = majority_histogram(stored_table("strong_pairs").comparison("robust", "vanilla"), bins=5)
    assert histogram.observed[[0, -1]].sum() > 3 * histogram.expected[[0, -1]].sum()


def test_split_half_correlation_recovers_the_pairs_share_of_variance():
    scenario = Scenario(raters=400, pairs=150, votes_per_rater=60, sd_rater=0, sd_pair=1.0, preference=0.5, seed=2)
    table = simulate_votes(scenario)
    comparison = table.comparison("robust", "vanilla")
    rates = np.array([comparison.score[comparison.pair == p].mean() for p in range(150)])
    noise = 0.25 / 80
    expected = (rates.var() - noise / 2 * 0.8) / (rates.var() + noise / 2)
    result = split_half_correlation(comparison)
    assert result.estimate == pytest.approx(expected, abs=0.05)
    assert result.ci95[0] < result.estimate < result.ci95[1]


def test_split_half_correlation_of_one_split_is_pearsons():
    comparison = stored_table("full_20x30").comparison("robust", "vanilla")
    first = (np.random.default_rng(4).permutation(20) < 10)[comparison.rater]
    halves = [[comparison.score[half & (comparison.pair == p)].mean() for p in range(30)] for half in (first, ~first)]
    expected = stats.pearsonr(*halves).statistic
    assert split_half_correlation(comparison, splits=1, seed=4).estimate == pytest.approx(expected, abs=1e-12)


def test_split_half_needs_raters_pairs_and_variation():
    full = stored_table("full_20x30").comparison("robust", "vanilla")
    assert split_half_correlation(full.rows(full.rater < 3)).estimate is None
    assert split_half_correlation(full.rows(full.score == 0.5)).estimate is None


def test_the_section_has_a_number_or_a_reason_everywhere():
    table = stored_table("repeats_and_classes")
    section = agreement(table, table.comparison("robust", "vanilla")).as_json()
    results = [value for value in section.values() if isinstance(value, dict)]
    assert len(results) == 6
    assert all(result["estimate"] is not None or result["reason"] for result in results)


def test_names_of_arms_and_row_order_change_nothing():
    table = stored_table("full_20x30")
    shuffled = table.rows(np.random.default_rng(1).permutation(len(table)))
    for measure in itertools.chain(COEFFICIENTS, [majority_share]):
        assert measure(table) == measure(shuffled)


IRRCAC = json.loads((Path(__file__).parents[2] / "data" / "analysis" / "agreement_irrcac.json").read_text())


@pytest.mark.parametrize("name", TWO_ARMS)
def test_kappa_ac1_and_alpha_are_those_of_irrcac(name):
    table, answer = stored_table(name), IRRCAC["answers"][name]
    assert fleiss_kappa(table, ties=True).estimate == pytest.approx(answer["fleiss_kappa"], abs=1e-9)
    assert gwet_ac1(table, ties=True).estimate == pytest.approx(answer["gwet_ac1"], abs=1e-9)
    assert krippendorff_alpha(table, ties=True).estimate == pytest.approx(answer["krippendorff_alpha"], abs=1e-9)


def test_the_estimate_alone_can_be_asked_for():
    table = stored_table("full_20x30")
    alone = krippendorff_alpha(table, repetitions=0)
    assert alone.estimate == krippendorff_alpha(table).estimate
    assert alone.ci95 is None
    assert "no interval was asked for" in alone.reason


def test_a_comparison_missing_from_a_resample_leaves_the_others_defined():
    rows = [(rater, pair, "a", "b", choice) for pair in "pqrs" for rater, choice in zip("xyz", CHOICES, strict=True)]
    rows += [(rater, "t", "a", "c", choice) for rater, choice in zip("xyz", CHOICES, strict=True)]
    for coefficient in (fleiss_kappa, gwet_ac1):
        result = coefficient(make_table(rows), ties=True)
        assert "undefined" not in result.reason
