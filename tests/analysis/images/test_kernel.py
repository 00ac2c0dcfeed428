"""Kernel distance: the unbiased estimate written out, its expectation, its error."""

import numpy as np
import pytest

from analysis.images import kernel_distance, polynomial_mmd2
from analysis.images.halves import half_samples
from analysis.images.kernel import kernel_half_estimates


def test_mmd_equals_the_sums_written_out():
    x = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    y = np.array([[2.0, 0.0], [0.0, 1.0]])

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / 2 + 1) ** 3

    within_x = sum(kernel(x[i], x[j]) for i in range(3) for j in range(3) if i != j) / 6
    within_y = (kernel(y[0], y[1]) + kernel(y[1], y[0])) / 2
    across = sum(kernel(a, b) for a in x for b in y) / 6
    assert polynomial_mmd2(x, y) == pytest.approx(within_x + within_y - 2 * across, rel=1e-13)


def test_estimate_is_unbiased_at_small_sizes():
    """Equal distributions: the mean over many draws of 8 images is zero within 4 standard errors."""
    rng = np.random.default_rng(0)
    draws = np.array([polynomial_mmd2(rng.normal(size=(8, 3)), rng.normal(size=(8, 3))) for _ in range(1500)])
    assert abs(draws.mean()) < 4 * draws.std() / np.sqrt(draws.size)
    assert draws.min() < 0.0 < draws.max()


def test_a_shift_is_found_and_the_seed_repeats_the_value():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(1200, 4)) + 0.7, rng.normal(size=(1500, 4))
    found = kernel_distance(x, y, subsets=20, subset_size=300, seed=5)
    assert found.value > 5 * found.standard_error > 0.0
    assert kernel_distance(x, y, subsets=20, subset_size=300, seed=5) == found
    assert kernel_distance(x, y, subsets=20, subset_size=300, seed=6) != found


def test_standard_error_is_that_of_new_images():
    rng = np.random.default_rng(2)
    values, errors = [], []
    for _ in range(80):
        x, y = rng.normal(size=(200, 2)) + 0.5, rng.normal(size=(200, 2))
        found = kernel_distance(x, y, subsets=40, subset_size=100, seed=0)
        values.append(found.value)
        errors.append(found.standard_error)
    # Without the correction for drawing from a finite set the error would be 1 / sqrt(2) of this.
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.25)


def test_a_small_set_is_drawn_from_at_half_its_size():
    x = np.random.default_rng(3).normal(size=(50, 3))
    found = kernel_distance(x, x[:40], subsets=10)
    assert found.subset_size == 20
    assert found.standard_error is not None


@pytest.mark.parametrize("n", [4, 39, 40, 60, 79, 200])
def test_every_number_of_images_has_an_error(n):
    x = np.random.default_rng(3).normal(size=(n, 3))
    found = kernel_distance(x, x + 0.5, subsets=10, subset_size=40)
    assert found.standard_error > 0.0


def test_the_error_does_not_jump_where_subsets_pass_half_of_the_set():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(220, 3)) + 0.7, rng.normal(size=(220, 3))
    below, above = (kernel_distance(x, y, subsets=50, subset_size=size).standard_error for size in (100, 200))
    assert above == pytest.approx(below, rel=0.1)


def test_few_small_subsets_are_worth_less_than_all_images():
    rng = np.random.default_rng(6)
    values, errors = [], []
    for seed in range(60):
        x, y = rng.normal(size=(200, 2)) + 0.5, rng.normal(size=(200, 2))
        found = kernel_distance(x, y, subsets=3, subset_size=20, seed=seed)
        values.append(found.value)
        errors.append(found.standard_error)
    # The spread over halves alone, which use all images, would be a third of this.
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.35)


def test_estimates_of_halves_are_those_of_the_halves_alone():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(21, 3)), rng.normal(size=(30, 3))
    halves = half_samples(21, 6, seed=1)
    found = kernel_half_estimates(x, y, halves)
    alone = np.array([polynomial_mmd2(x[half], y) for half in halves])
    # What is left out is the same for all: the mean kernel within y.
    assert found - found[0] == pytest.approx(alone - alone[0], rel=1e-9)


def test_bad_input_is_refused():
    x = np.random.default_rng(3).normal(size=(50, 3))
    with pytest.raises(ValueError, match="at least 4"):
        kernel_distance(x[:3], x)
    with pytest.raises(ValueError, match="one network"):
        kernel_distance(x, x[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        kernel_distance(np.where(x > 1, np.nan, x), x)
    with pytest.raises(ValueError, match="subsets"):
        kernel_distance(x, x, subsets=1)
