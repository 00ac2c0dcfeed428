"""Tests within groups of pairs and of raters: error rates by simulation, definitions, symmetry, refusals."""

import numpy as np
import pytest

from analysis.preference.groups import group_rates, heterogeneity
from analysis.preference.per_class import adjusted_p_values
from tests.analysis.votes_factory import make_comparison


def classes(rng, *, raters=24, sizes=(4,) * 10, sd_rater=0.5, sd_pair=0.8, shift=None):
    """Votes on pairs of several classes; every class's true rate is 1/2 but for its shift in log-odds."""
    label = np.repeat(np.arange(len(sizes)), sizes)
    rater, pair = (axis.ravel() for axis in np.meshgrid(np.arange(raters), np.arange(len(label)), indexing="ij"))
    odds = rng.normal(0, sd_rater, raters)[rater] + rng.normal(0, sd_pair, len(label))[pair]
    odds += 0 if shift is None else np.asarray(shift)[label[pair]]
    score = (rng.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float)
    comparison = make_comparison(score, rater, pair)
    return [comparison.rows(label[pair] == number) for number in range(len(sizes))]


@pytest.mark.parametrize("sd_pair", [0.0, 0.8])
@pytest.mark.parametrize("pairs", [2, 6])
def test_no_class_is_called_different_more_often_than_the_level(pairs, sd_pair):
    """Line 1.2: with votes as independent some class was significant in 77 % of studies."""
    rng = np.random.default_rng(pairs)
    false, covered, uneven = [], [], []
    for _ in range(120):
        groups = classes(rng, sizes=(pairs,) * 10, sd_pair=sd_pair)
        results = group_rates(groups)
        false.append(adjusted_p_values([result.p_value for result in results], "holm").min() < 0.05)
        covered += [result.ci95[0] <= 0.5 <= result.ci95[1] for result in results]
        uneven.append(heterogeneity(groups).p_value < 0.05)
    # Five per cent and three Monte-Carlo errors.
    assert np.mean(false) <= 0.05 + 3 * 0.02
    assert np.mean(uneven) <= 0.05 + 3 * 0.02
    assert np.mean(covered) >= 0.93


def test_classes_apart_are_found_and_told_apart():
    groups = classes(np.random.default_rng(4), sizes=(6,) * 10, shift=[1.4] * 5 + [-1.4] * 5)
    results = group_rates(groups)
    found = adjusted_p_values([result.p_value for result in results], "holm") < 0.05
    above = np.array([result.estimate > 0.5 for result in results])
    assert (found & above).any()
    assert (found & ~above).any()
    assert above.tolist() == [True] * 5 + [False] * 5
    assert heterogeneity(groups).p_value < 1e-6


def test_a_class_near_the_border_does_not_make_another_one_sure():
    """Pairs spread less near 0 and 1: pooling them as they are would shorten the interval of a class near 1/2."""
    rng, false = np.random.default_rng(5), []
    for _ in range(150):
        results = group_rates(classes(rng, shift=[0.0] + [2.5] * 9))
        false.append(results[0].p_value < 0.05)
    assert np.mean(false) <= 0.05 + 3 * 0.018


def test_swapping_the_arms_mirrors_every_rate():
    groups = classes(np.random.default_rng(6), shift=np.linspace(-1, 1, 10))
    mirrored = [make_comparison(1 - group.score, group.rater, group.pair, -group.side) for group in groups]
    for ours, theirs in zip(group_rates(groups), group_rates(mirrored), strict=True):
        assert theirs.estimate == pytest.approx(1 - ours.estimate)
        assert theirs.ci95 == pytest.approx((1 - ours.ci95[1], 1 - ours.ci95[0]), abs=1e-9)
        assert theirs.p_value == pytest.approx(ours.p_value)
    assert heterogeneity(mirrored).p_value == pytest.approx(heterogeneity(groups).p_value)


def test_groups_of_raters_cluster_by_pair_and_pool_the_spread_of_raters():
    rng, apart = np.random.default_rng(7), []
    for _ in range(120):
        rater, pair = (axis.ravel() for axis in np.meshgrid(np.arange(24), np.arange(30), indexing="ij"))
        odds = rng.normal(0, 0.8, 24)[rater] + rng.normal(0, 0.8, 30)[pair]
        votes = make_comparison((rng.random(720) < 1 / (1 + np.exp(-odds))).astype(float), rater, pair)
        apart.append(heterogeneity([votes.rows(rater % 4 == site) for site in range(4)], nested="rater").p_value < 0.05)
    assert np.mean(apart) <= 0.05 + 3 * 0.02


def test_one_pair_a_class_has_no_spread_to_pool():
    groups = classes(np.random.default_rng(8), sizes=(1,) * 10)
    results = group_rates(groups)
    assert all(result.ci95 is None and "beyond one each" in result.reason for result in results)
    assert heterogeneity(groups).estimate is None


def test_one_group_is_compared_with_nothing():
    assert "nothing to compare" in heterogeneity(classes(np.random.default_rng(9), sizes=(20,))).reason
    assert group_rates([]) == []
