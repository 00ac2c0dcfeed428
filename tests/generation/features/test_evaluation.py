"""From image sets to metrics: references of every kind, and the same number however the images lie on disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.images import EvaluationRules, frechet_distance_of_features, moments_of
from generation.features.evaluation import Reference, evaluate_images, open_reference, reference_features
from generation.features.image_sets import ArraySource, folder_source
from tests.generation.networks import RandomConvFeatures

_FAST = EvaluationRules(
    minimum_frechet=30, bootstrap_replicates=4, kid_subsets=4, kid_subset_size=15, extrapolation_points=3
)


def _images(n: int, seed: int, low: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, 256, (n, 6, 6, 3), dtype=np.uint8)


def test_arms_are_measured_against_the_reference(tmp_path: Path):
    network = RandomConvFeatures()
    arms = {"near": ArraySource("near", _images(60, 1)), "far": ArraySource("far", _images(60, 2, 128))}
    reference = Reference(name="truth", source=ArraySource("truth", _images(80, 3)))
    found = evaluate_images(arms, reference, network, tmp_path, rules=_FAST)
    assert set(found.arms) == {"near", "far"}
    near, far = found.arms["near"], found.arms["far"]
    assert far["frechet_distance"].value > 5 * near["frechet_distance"].value
    assert far["kid"].value > near["kid"].value
    assert far["precision"].value < near["precision"].value
    assert (near["frechet_distance"].n, near["frechet_distance"].n_reference) == (60, 80)
    assert found.per_class == {"near": {}, "far": {}}
    expected = frechet_distance_of_features(network(_images(60, 1)).pool, network(_images(80, 3)).pool)
    assert near["frechet_distance"].value == pytest.approx(expected, rel=1e-4)


def test_folder_npz_and_array_give_the_same_numbers(tmp_path: Path):
    truth, mine = _images(40, 4), _images(40, 5)
    (tmp_path / "truth").mkdir()
    for i, pixels in enumerate(truth):
        Image.fromarray(pixels).save(tmp_path / "truth" / f"{i:03}.png")
    np.savez(tmp_path / "truth.npz", truth)
    references = [
        open_reference(tmp_path / "truth"),
        open_reference(tmp_path / "truth.npz"),
        Reference(name="array", source=ArraySource("array", truth)),
    ]
    found = [
        evaluate_images(
            {"mine": ArraySource("mine", mine)}, reference, RandomConvFeatures(), tmp_path / str(i), rules=_FAST
        )
        for i, reference in enumerate(references)
    ]
    assert found[0].arms == found[1].arms == found[2].arms


def test_classes_are_measured_one_by_one_where_both_sides_have_them(tmp_path: Path):
    for side, seed in (("truth", 6), ("mine", 7)):
        for i, pixels in enumerate(_images(12, seed)):
            folder = tmp_path / side / ("cat", "dog")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    found = evaluate_images(
        {"mine": folder_source(tmp_path / "mine")},
        open_reference(tmp_path / "truth"),
        RandomConvFeatures(),
        tmp_path / "cache",
        rules=_FAST,
    )
    assert set(found.per_class["mine"]) == {0, 1}
    assert found.per_class["mine"][0]["kid"].value is not None


def test_published_moments_serve_the_published_network_alone(tmp_path: Path):
    rng = np.random.default_rng(8)
    moments = moments_of(rng.normal(size=(300, 16)))
    np.savez(tmp_path / "moments.npz", mu=moments.mean, sigma=moments.covariance())
    reference = open_reference(tmp_path / "moments.npz")
    with pytest.raises(ValueError, match="moments alone"):
        reference_features(reference, RandomConvFeatures(), tmp_path)
    with pytest.raises(ValueError, match="16 features, Inception's have 2048"):
        reference_features(reference, RandomConvFeatures(is_inception=True), tmp_path)


def test_adm_batch_gives_moments_of_the_whole_set_and_images_for_the_manifold(tmp_path: Path, monkeypatch):
    """As in the published batches: mu and sigma over the training set, arr_0 a part of it."""
    rng = np.random.default_rng(9)
    mean = rng.normal(size=2048)
    covariance = np.diag(rng.random(2048) + 0.1)
    spatial = {"mu_s": rng.normal(size=2023), "sigma_s": np.eye(2023)}
    np.savez(tmp_path / "VIRTUAL.npz", arr_0=_images(20, 10), mu=mean, sigma=covariance, **spatial)
    known = reference_features(
        open_reference(tmp_path / "VIRTUAL.npz"), RandomConvFeatures(is_inception=True), tmp_path
    )
    np.testing.assert_allclose(known.pool_fit.mean, mean)
    assert known.pool_fit.n is None
    assert known.spatial_fit.dimension == 2023
    assert known.pool.shape == (20, 16)


def test_another_network_fits_the_images_of_an_adm_batch_itself(tmp_path: Path):
    np.savez(tmp_path / "VIRTUAL.npz", arr_0=_images(20, 10), mu=np.zeros(2048), sigma=np.eye(2048))
    known = reference_features(open_reference(tmp_path / "VIRTUAL.npz"), RandomConvFeatures(), tmp_path)
    assert (known.pool_fit.dimension, known.pool_fit.n) == (16, 20)


def test_what_is_no_reference_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no reference at"):
        open_reference(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="holds weights"):
        open_reference(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="no arm"):
        evaluate_images({}, Reference(name="x", source=ArraySource("x", _images(5, 0))), RandomConvFeatures(), tmp_path)


def test_progress_tells_what_is_done(tmp_path: Path):
    seen = []
    evaluate_images(
        {"mine": ArraySource("mine", _images(40, 1))},
        Reference(name="t", source=ArraySource("t", _images(40, 2))),
        RandomConvFeatures(),
        tmp_path,
        rules=_FAST,
        progress=lambda *told: seen.append(told),
    )
    assert ("features of t", 40, 40) in seen
    assert ("KID of mine", 0, 1) in seen
