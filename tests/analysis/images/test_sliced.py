"""The sliced distance (MIND) against torch-fidelity, POT and closed forms; its error against simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.images import ArmFeatures, EvaluationRules, FeatureIdentity, ReferenceFeatures, evaluate_arm
from analysis.images.paired import arm_variation, metric_difference
from analysis.images.sliced import random_directions, sliced_distance
from tests.data.analysis.sliced_references import SETS, features

STORED = json.loads(Path("tests/data/analysis/sliced_references.json").read_text())["sets"]
JUDGE = FeatureIdentity(name="classifier:judge", sha256="a" * 64)


@pytest.mark.parametrize("name", SETS)
def test_distance_is_that_of_torch_fidelity_and_of_pot(name):
    generated, reference, directions = features(name)
    found = sliced_distance(generated, reference, directions=directions).value
    assert found == pytest.approx(STORED[name]["torch_fidelity_mind"], rel=1e-5)
    assert found == pytest.approx(3 * generated.shape[1] * STORED[name]["pot_distance"] ** 2, rel=1e-10)


def test_distance_along_one_axis_is_that_of_scipy_squared_costs():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((50, 1)), rng.exponential(size=(50, 1))
    expected = 3 * np.square(np.sort(x[:, 0]) - np.sort(y[:, 0])).mean()
    assert sliced_distance(x, y, projections=7).value == pytest.approx(expected)
    # Cost |x - y|: scipy's distance is a lower bound of the root of the mean squared one.
    assert stats.wasserstein_distance(x[:, 0], y[:, 0]) <= np.sqrt(expected / 3)


def test_gaussians_are_three_frechet_distances_apart():
    rng = np.random.default_rng(2)
    d, shift, scale = 16, 0.6, 1.5
    x, y = rng.standard_normal((20_000, d)), scale * rng.standard_normal((20_000, d))
    y[:, 0] += shift * d**0.5
    frechet = shift**2 * d + d * (scale - 1) ** 2
    assert sliced_distance(x, y, projections=500).value == pytest.approx(3 * frechet, rel=0.1)


def test_same_seed_gives_the_same_and_the_larger_set_is_drawn_from():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((90, 4)) + 1
    first, again, other = (sliced_distance(x, y, seed=seed) for seed in (0, 0, 1))
    assert (first.n, first.value) == (30, again.value)
    assert other.value != first.value
    assert sliced_distance(y, x).n == 30
    assert sliced_distance(x.astype(np.float32), y.astype(np.float32)).value == pytest.approx(first.value, rel=1e-5)
    assert np.linalg.norm(random_directions(5, 9), axis=1) == pytest.approx(np.ones(9))


def test_standard_error_is_the_spread_over_new_images():
    rng = np.random.default_rng(4)
    d, n = 8, 150
    reference = rng.standard_normal((n, d))
    values, errors = [], []
    for _ in range(120):
        found = sliced_distance(0.5 + 1.3 * rng.standard_normal((n, d)), reference, projections=60)
        values.append(found.value)
        errors.append(found.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.2)


def test_influence_is_the_derivative_in_the_weight_of_an_image():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 3)) + 0.8
    directions = random_directions(3, 30)
    found = sliced_distance(x, y, directions=directions)
    assert found.influence.mean() == pytest.approx(0.0, abs=1e-12)
    # Every image 50 times, one of them once more in place of another: two weights move by 1 / (50 n). To and fro, since
    # at a finite set the slope to one side is another than to the other.
    many, beside = np.repeat(x, 50, axis=0), np.repeat(y, 50, axis=0)

    def moved(image: int, instead: int) -> float:
        changed = many.copy()
        changed[50 * instead] = x[image]
        return sliced_distance(changed, beside, directions=directions).value - found.value

    for image, instead in ((3, 17), (21, 8)):
        slope = (found.influence[image] - found.influence[instead]) / (50 * 40)
        assert (moved(image, instead) - moved(instead, image)) / 2 == pytest.approx(slope, rel=1e-6)


def test_arm_and_pairs_get_it_with_intervals():
    rng = np.random.default_rng(6)
    shared = rng.standard_normal((200, 6))
    reference = ReferenceFeatures(pool=rng.standard_normal((300, 6)))
    rules = EvaluationRules(mind_projections=50)
    arms = {
        "near": ArmFeatures(pool=shared + 0.4 + 0.1 * rng.standard_normal((200, 6))),
        "far": ArmFeatures(pool=shared + 0.5 + 0.1 * rng.standard_normal((200, 6))),
    }
    far = evaluate_arm(arms["far"], reference, JUDGE, rules)["mind"]
    assert far.ci95[0] < far.value < far.ci95[1]
    assert (far.n, far.n_reference) == (200, 300)
    assert "not comparable with published MIND; biased upward at 200 images a side" in far.reason
    variations = {name: [arm_variation(arm, reference, JUDGE, rules)] for name, arm in arms.items()}
    apart = metric_difference("mind", variations["far"], variations["near"])
    assert apart.value == pytest.approx(far.value - evaluate_arm(arms["near"], reference, JUDGE, rules)["mind"].value)
    # What both images of a pair share falls out: much narrower than one arm's own interval.
    assert 0 < apart.ci95[0] < apart.ci95[1]
    assert apart.ci95[1] - apart.ci95[0] < 0.5 * (far.ci95[1] - far.ci95[0])


def test_more_images_than_the_reference_has_are_compared_over_those_taken():
    rng = np.random.default_rng(7)
    reference = ReferenceFeatures(pool=rng.standard_normal((40, 3)))
    one, other = (ArmFeatures(pool=rng.standard_normal((100, 3)) + shift) for shift in (0.0, 0.7))
    ours, theirs = ([arm_variation(arm, reference, JUDGE)] for arm in (other, one))
    assert metric_difference("mind", ours, theirs).ci95[0] > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.zeros((3, 2)), np.zeros((3, 4))), "generated has 2 features, reference 4"),
        ((np.zeros((1, 2)), np.zeros((3, 2))), "generated has 1 images; at least 2"),
        ((np.full((3, 2), np.nan), np.zeros((3, 2))), "generated: image 0 has a NaN"),
    ],
)
def test_unusable_features_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        sliced_distance(*given)


def test_moments_alone_and_few_images_are_refused():
    few = ReferenceFeatures(pool=np.random.default_rng(0).standard_normal((3, 2)))
    arm = ArmFeatures(pool=np.random.default_rng(1).standard_normal((9, 2)))
    assert "at least 4 images" in evaluate_arm(arm, few, JUDGE)["mind"].reason
    assert "no images, only their moments" in evaluate_arm(arm, ReferenceFeatures(), JUDGE)["mind"].reason
