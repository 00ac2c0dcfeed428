"""Errors and bias of the Frechet distance against simulation."""

import numpy as np
import pytest

from analysis.images import (
    bootstrap_frechet,
    extrapolate_frechet,
    fit_gaussian,
    frechet_distance,
    frechet_standard_error,
    gaussian_from_moments,
    interval_over_seeds,
)

_REFERENCE = gaussian_from_moments(np.zeros(6), np.diag([1.0, 2.0, 0.5, 1.0, 3.0, 1.0]))


def _draw(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 6)) * 1.3 + 0.4


@pytest.fixture(scope="module")
def simulated() -> np.ndarray:
    """Distances of 300 independent sets of 500 images."""
    rng = np.random.default_rng(0)
    return np.array([frechet_distance(fit_gaussian(_draw(rng, 500)), _REFERENCE) for _ in range(300)])


def test_bootstrap_spread_is_the_spread_over_new_images(simulated: np.ndarray):
    spread = bootstrap_frechet(_draw(np.random.default_rng(1), 500), _REFERENCE, replicates=200).std(ddof=1)
    assert spread == pytest.approx(simulated.std(ddof=1), rel=0.25)


def test_infinitesimal_jackknife_is_the_spread_over_new_images(simulated: np.ndarray):
    error = frechet_standard_error(_draw(np.random.default_rng(1), 500), _REFERENCE)
    assert error == pytest.approx(simulated.std(ddof=1), rel=0.2)


def test_jackknife_derivative_agrees_with_finite_differences():
    """Giving one image a little more weight moves the distance by its influence: the sum of squares follows."""
    x = _draw(np.random.default_rng(2), 40)
    step, n = 1e-5, 40
    influence = []
    for image in range(n):
        weights = np.full(n, (1.0 - step) / n)
        weights[image] += step
        mean = weights @ x
        covariance = (x - mean).T @ (weights[:, None] * (x - mean)) * n / (n - 1)
        moved = frechet_distance(gaussian_from_moments(mean, covariance), _REFERENCE)
        influence.append((moved - frechet_distance(fit_gaussian(x), _REFERENCE)) / step)
    expected = np.std(influence, ddof=1) / np.sqrt(n)
    assert frechet_standard_error(x, _REFERENCE) == pytest.approx(expected, rel=0.03)


def test_jackknife_refuses_a_singular_covariance():
    x = _draw(np.random.default_rng(3), 50)
    assert frechet_standard_error(x[:6], _REFERENCE) is None
    x[:, 1] = x[:, 0]
    assert frechet_standard_error(x, _REFERENCE) is None


def test_extrapolation_removes_the_small_sample_bias():
    """The distance of equal distributions is 0; at 120 images it is far from it, its limit much less."""
    rng = np.random.default_rng(4)
    reference = gaussian_from_moments(np.zeros(10), np.eye(10))
    at_n, limits = [], []
    for _ in range(30):
        found = extrapolate_frechet(rng.normal(size=(120, 10)), reference, draws=4)
        at_n.append(found.distances[found.sizes.index(120)])
        limits.append(found.value)
    assert np.mean(at_n) > 0.3
    assert abs(np.mean(limits)) < 0.25 * np.mean(at_n)


def test_extrapolation_shows_the_bias_falling_with_n():
    found = extrapolate_frechet(_draw(np.random.default_rng(5), 400), _REFERENCE, points=5, draws=100)
    assert found.sizes[0] == 80
    assert found.sizes[-1] == 400
    assert found.slope > 0.0
    assert found.value < found.distances[-1] < found.distances[0]


def test_same_seed_same_resamples():
    x = _draw(np.random.default_rng(6), 60)
    first = bootstrap_frechet(x, _REFERENCE, replicates=5, seed=3)
    np.testing.assert_array_equal(first, bootstrap_frechet(x, _REFERENCE, replicates=5, seed=3))
    assert not np.array_equal(first, bootstrap_frechet(x, _REFERENCE, replicates=5, seed=4))


def test_interval_over_seeds_covers_at_its_level():
    rng = np.random.default_rng(7)
    intervals = [interval_over_seeds(rng.normal(size=3))[2] for _ in range(2000)]
    assert np.mean([low <= 0.0 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_no_spread():
    with pytest.raises(ValueError, match="at least 2"):
        interval_over_seeds([3.0])
    with pytest.raises(ValueError, match="NaN"):
        interval_over_seeds([3.0, float("nan")])
    with pytest.raises(ValueError, match="replicates"):
        bootstrap_frechet(np.eye(4), fit_gaussian(np.eye(4)), replicates=1)
    with pytest.raises(ValueError, match="points"):
        extrapolate_frechet(np.ones((20, 3)), _REFERENCE, points=2)
