"""Streaming moments: exact, mergeable, and refusing what is not a feature."""

import numpy as np
import pytest

from analysis.images import FeatureMoments, moments_of


def _features(n: int = 300, d: int = 5, *, offset: float = 0.0) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, d)) @ np.diag(np.arange(1.0, d + 1.0)) + offset


def test_moments_equal_the_two_pass_formulas():
    features = _features()
    moments = moments_of(features)
    np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.covariance(), np.cov(features, rowvar=False), rtol=1e-12, atol=1e-14)


def test_moments_keep_their_digits_far_from_the_origin():
    near, far = moments_of(_features()), moments_of(_features(offset=1e7))
    np.testing.assert_allclose(far.covariance(), near.covariance(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("cuts", [(100,), (1, 2, 299), (150, 150, 200)])
def test_merged_shards_equal_one_pass(cuts: tuple[int, ...]):
    features, whole = _features(), FeatureMoments(5)
    for shard in np.split(features, cuts):
        part = FeatureMoments(5)
        part.update(shard)
        whole.merge(part)
    np.testing.assert_allclose(whole.covariance(), moments_of(features).covariance(), rtol=1e-12, atol=1e-14)
    assert whole.n == 300


def test_order_of_images_does_not_matter():
    features = _features()
    shuffled = features[np.random.default_rng(1).permutation(300)]
    np.testing.assert_allclose(moments_of(shuffled).covariance(), moments_of(features).covariance(), rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_no_number_is_refused_and_nothing_is_added(bad: float):
    moments, features = moments_of(_features()), _features()
    features[7, 2] = bad
    with pytest.raises(ValueError, match="image 7"):
        moments.update(features)
    assert moments.n == 300
    assert np.isfinite(moments.covariance()).all()


def test_one_image_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 images"):
        moments_of(np.ones((1, 3))).covariance()


def test_wrong_shapes_and_dtypes_are_refused():
    moments = FeatureMoments(3)
    with pytest.raises(ValueError, match="4 columns"):
        moments.update(np.ones((2, 4)))
    with pytest.raises(ValueError, match="shape"):
        moments.update(np.ones(3))
    with pytest.raises(TypeError, match="uint8"):
        moments.update(np.ones((2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="merge"):
        moments.merge(FeatureMoments(4))


def test_the_callers_array_is_left_as_it_was():
    features = _features(offset=3.0)
    before = features.copy()
    moments_of(features)
    np.testing.assert_array_equal(features, before)
