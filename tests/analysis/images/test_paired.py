"""Differences between arms over the same pairs: what pairing takes out, what seeds add, what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.images import ArmFeatures, EvaluationRules, FeatureIdentity, MetricResult, ReferenceFeatures, fit_gaussian
from analysis.images.paired import ArmVariation, arm_variation, metric_difference, metric_differences

JUDGE = FeatureIdentity(name="judge", sha256="ab" * 32)
RULES = EvaluationRules(halves=100, kid_subsets=20, kid_subset_size=60, minimum_per_feature=5)


def _reference(n: int = 300) -> ReferenceFeatures:
    rows = np.random.default_rng(0).normal(size=(n, 4))
    return ReferenceFeatures(pool_fit=fit_gaussian(rows), pool=rows)


def _pair_of_arms(n: int, seed: int, own: float = 0.2) -> tuple[ArmFeatures, ArmFeatures]:
    """Two arms whose images share most of what varies: the first lies further from the reference."""
    rng = np.random.default_rng(seed)
    shared, labels = rng.normal(size=(n, 4)), np.zeros(n, dtype=np.int64)
    far, near = (shared + own * rng.normal(size=(n, 4)) + shift for shift in (0.5, 0.4))
    is_wrong = rng.random(n) < 0.1
    seen = [np.where(is_wrong | (rng.random(n) < extra), 1, 0) for extra in (0.05, 0.0)]
    return (
        ArmFeatures(pool=far, labels=labels, seen=seen[0]),
        ArmFeatures(pool=near, labels=labels, seen=seen[1]),
    )


def _variations(n: int = 200, seed: int = 1, own: float = 0.2) -> tuple[ArmVariation, ArmVariation]:
    return tuple(arm_variation(arm, _reference(), JUDGE, RULES) for arm in _pair_of_arms(n, seed, own))


def _width(metric: MetricResult) -> float:
    return metric.ci95[1] - metric.ci95[0]


def test_a_difference_shows_that_separate_intervals_hide():
    far, near = _variations()
    found = metric_differences([far], [near])
    assert list(found) == ["fid", "kid", "mind", "frechet_distance", "precision", "recall", "class_accuracy"]
    separate = [arm.metrics["frechet_distance"].ci95 for arm in (far, near)]
    assert separate[0][0] < separate[1][1], "the separate intervals are meant to overlap"
    distance = found["frechet_distance"]
    assert distance.ci95[0] > 0.0
    assert distance.value == pytest.approx(
        far.metrics["frechet_distance"].value - near.metrics["frechet_distance"].value
    )
    assert _width(distance) < 0.7 * _width(far.metrics["frechet_distance"])
    assert found["class_accuracy"].ci95[1] < 0.0
    assert (found["kid"].n, found["kid"].n_reference, found["kid"].features) == (200, 300, JUDGE)


def test_swapped_arms_give_the_opposite_and_an_arm_equals_itself():
    far, near = _variations(60)
    for name, metric in metric_differences([far], [near]).items():
        if metric.value is not None:
            turned = metric_difference(name, [near], [far])
            assert turned.value == -metric.value
            assert turned.ci95 == pytest.approx((-metric.ci95[1], -metric.ci95[0]))
    same = metric_differences([far], [far])
    assert (same["kid"].value, same["kid"].ci95) == (0.0, (0.0, 0.0))


def test_shares_without_a_discordant_pair_keep_an_interval():
    far, _ = _variations(60)
    found = metric_difference("class_accuracy", [far], [far])
    # Bonett and Price: one discordant pair more in each direction.
    assert found.ci95 == pytest.approx((-2.001 * 2**0.5 / 62, 2.001 * 2**0.5 / 62), rel=1e-3)


def test_what_one_arm_lacks_the_difference_lacks_with_the_same_reason():
    far, near = _variations(60)
    found = metric_differences([far], [near])["fid"]
    assert found.value is None
    assert "Inception weights" in found.reason


def test_errors_are_those_of_new_pairs():
    names = ("kid", "frechet_distance", "precision", "recall", "class_accuracy")
    values, errors = {name: [] for name in names}, {name: [] for name in names}
    for seed in range(30):
        far, near = _variations(80, seed, own=0.5)
        for name in names:
            metric = metric_difference(name, [far], [near])
            values[name].append(metric.value)
            errors[name].append(_width(metric) / 2 / 1.99)
    for name in names:
        # Thirty draws know a spread to 13 %; without the pairing errors would be about twice as large.
        assert np.mean(errors[name]) == pytest.approx(np.std(values[name], ddof=1), rel=0.4), name


def _seed(value: float, deviations: np.ndarray) -> ArmVariation:
    metric = MetricResult(value=value, n=len(deviations), features=JUDGE)
    return ArmVariation(metrics={"kid": metric}, deviations={"kid": deviations - deviations.mean()})


def test_seeds_are_crossed_with_pairs():
    rng = np.random.default_rng(2)
    pairs, none = rng.normal(size=400), np.zeros(400)
    theirs = [_seed(0.0, none)] * 3
    alike = metric_difference("kid", [_seed(1.0, pairs)] * 3, theirs)
    alone = metric_difference("kid", [_seed(1.0, pairs)], theirs[:1])
    assert alike.ci95 == pytest.approx(alone.ci95), "seeds that do not differ add nothing"
    varied = metric_difference("kid", [_seed(value, 0.0 * pairs) for value in (0.0, 1.0, 2.0)], theirs)
    assert varied.ci95 == pytest.approx((1 - 4.302653 / 3**0.5, 1 + 4.302653 / 3**0.5), rel=1e-6)
    assert "standard deviation from seed to seed 1" in varied.reason
    both = metric_difference("kid", [_seed(value, pairs) for value in (0.0, 1.0, 2.0)], theirs)
    assert _width(both) > max(_width(varied) / 2, _width(alike))


def test_what_each_seed_has_of_its_own_is_counted_once():
    rng = np.random.default_rng(3)
    own = [rng.normal(size=2000) for _ in range(20)]
    # Seeds vary exactly as their own pairs make them vary.
    seeds = [_seed((-1.0) ** place, (20 / 19) ** 0.5 * one) for place, one in enumerate(own)]
    found = metric_difference("kid", seeds, [_seed(0.0, 0.0 * own[0])] * 20)
    # The mean of twenty: 20/19/20 once, not from seeds and from pairs.
    assert _width(found) / 2 == pytest.approx(2.093 * (1 / 19) ** 0.5, rel=0.1)


def test_unequal_seeds_or_pairs_are_refused():
    far, near = _variations(60)
    with pytest.raises(ValueError, match="same of both"):
        metric_difference("kid", [far, far], [near])
    other = replace(near.metrics["kid"], n=59)
    with pytest.raises(ValueError, match="images"):
        metric_difference("kid", [far], [replace(near, metrics={"kid": other})])


def test_few_pairs_have_a_difference_without_interval():
    far, near = _variations(7)
    found = metric_difference("kid", [far], [near])
    assert found.value is not None
    assert found.ci95 is None
    assert "7 pairs" in found.reason


def test_seeds_of_arms_that_nothing_tells_apart_have_no_difference():
    far, _ = _variations(60)
    found = metric_difference("kid", [far, far], [far, far])
    assert (found.value, found.ci95) == (0.0, (0.0, 0.0))
