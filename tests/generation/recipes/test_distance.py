"""The difference between two images of a pair, against its definition and against what a rater would see."""

from __future__ import annotations

import numpy as np
import pytest

from generation.recipes.distance import pair_distances, structural_dissimilarity

RNG = np.random.default_rng(3)


def picture() -> np.ndarray:
    return np.kron(RNG.integers(40, 200, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def test_equal_images_have_distance_zero_and_order_does_not_matter():
    one, other = picture(), picture()
    assert structural_dissimilarity(one, one) == 0.0
    assert structural_dissimilarity(one, other) == structural_dissimilarity(other, one) > 0.1


def test_flat_images_follow_the_luminance_term_alone():
    """Without structure SSIM is (2 a b + C1) / (a^2 + b^2 + C1)."""
    dark, light = np.full((12, 12, 1), 60, np.uint8), np.full((12, 12, 1), 180, np.uint8)
    c1 = (0.01 * 255) ** 2
    similarity = (2 * 60 * 180 + c1) / (60**2 + 180**2 + c1)
    assert structural_dissimilarity(dark, light) == pytest.approx((1 - similarity) / 2)


def test_distance_grows_with_noise_and_stays_below_one():
    base = picture()
    distances = []
    for size in (2, 10, 40):
        noisy = np.clip(base + RNG.normal(0, size, base.shape), 0, 255).astype(np.uint8)
        distances.append(structural_dissimilarity(base, noisy))
    assert 0 < distances[0] < distances[1] < distances[2] < 1
    assert structural_dissimilarity(base, 255 - base) <= 1


def test_colours_of_equal_luma_are_called_alike():
    red = np.zeros((12, 12, 3), np.uint8)
    red[..., 0] = 100
    grey = np.full((12, 12, 3), round(29.9), np.uint8)
    assert structural_dissimilarity(red, grey) < 1e-4


def test_every_two_arms_are_compared_once():
    images = {name: picture() for name in ("robust", "vanilla", "unguided")}
    distances = pair_distances(images)
    assert set(distances) == {("robust", "unguided"), ("robust", "vanilla"), ("unguided", "vanilla")}
    assert distances["robust", "vanilla"] == structural_dissimilarity(images["robust"], images["vanilla"])


def test_images_of_other_size_are_refused():
    with pytest.raises(ValueError, match="only equal sizes can be compared"):
        structural_dissimilarity(np.zeros((4, 4, 1), np.uint8), np.zeros((5, 4, 1), np.uint8))
