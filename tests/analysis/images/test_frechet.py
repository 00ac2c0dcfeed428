"""Frechet distance against closed forms, high precision and the textbook matrix square root."""

import mpmath
import numpy as np
import pytest
from scipy import linalg

from analysis.images import (
    fit_gaussian,
    frechet_distance,
    frechet_distance_of_features,
    gaussian_from_moments,
    moments_of,
)


def _covariance(d: int, seed: int, *, rank: int | None = None) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(rank or d + 3, d))
    return factor.T @ factor / d


def _textbook(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    root = linalg.sqrtm(cov_a @ cov_b)
    return float((mean_a - mean_b) @ (mean_a - mean_b) + np.trace(cov_a + cov_b - 2.0 * root.real))


def test_commuting_gaussians_have_the_closed_form():
    """Diagonal covariances: |dm|^2 + sum (sqrt a - sqrt b)^2, here 1 + 4 + (1-2)^2 + (3-1)^2 = 10."""
    first = gaussian_from_moments([0.0, 0.0], np.diag([1.0, 9.0]))
    second = gaussian_from_moments([1.0, 2.0], np.diag([4.0, 1.0]))
    assert frechet_distance(first, second) == pytest.approx(10.0, rel=1e-14)


def test_two_by_two_gaussians_have_the_trace_determinant_form():
    """tr sqrt(AB) = sqrt(tr AB + 2 sqrt(det A det B)) for 2 x 2 covariances that do not commute."""
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.7], [-0.7, 3.0]])
    expected = np.trace(a + b) - 2 * np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    found = frechet_distance(gaussian_from_moments(np.zeros(2), a), gaussian_from_moments(np.zeros(2), b))
    assert found == pytest.approx(expected, rel=1e-13)


def test_a_full_covariance_agrees_with_sixty_digit_arithmetic():
    d = 6
    a, b = _covariance(d, 1), _covariance(d, 2)
    with mpmath.workdps(60):
        eigenvalues = mpmath.eig(mpmath.matrix(a.tolist()) * mpmath.matrix(b.tolist()), left=False, right=False)
        root = sum(mpmath.sqrt(mpmath.re(value)) for value in eigenvalues)
        expected = float(mpmath.mpf(np.trace(a)) + mpmath.mpf(np.trace(b)) - 2 * root)
    found = frechet_distance(gaussian_from_moments(np.zeros(d), a), gaussian_from_moments(np.zeros(d), b))
    assert found == pytest.approx(expected, rel=1e-12)


def _ill_conditioned(d: int, condition: float, seed: int) -> list[np.ndarray]:
    """Two covariances that do not commute, with eigenvalues from 1 down to 1 / condition."""
    rng = np.random.default_rng(seed)
    pair = []
    for values in (np.logspace(0, -np.log10(condition), d), np.logspace(-np.log10(condition), 0, d)):
        basis = linalg.qr(rng.normal(size=(d, d)))[0]
        whole = (basis * values) @ basis.T
        pair.append((whole + whole.T) / 2)
    return pair


def _exact(a: np.ndarray, b: np.ndarray) -> mpmath.mpf:
    """The distance of these very numbers in 60 digits, by the symmetric form L' B L with A = L L'."""
    with mpmath.workdps(60):
        first, second = mpmath.matrix(a.tolist()), mpmath.matrix(b.tolist())
        lower = mpmath.cholesky(first)
        roots = mpmath.eigsy(lower.T * second * lower, eigvals_only=True)
        return sum(first[i, i] + second[i, i] for i in range(first.rows)) - 2 * sum(mpmath.sqrt(r) for r in roots)


@pytest.mark.parametrize(("condition", "most"), [(1e4, 1e-13), (1e8, 1e-11), (1e12, 1e-9)])
def test_it_is_more_exact_than_the_textbook_form_when_covariances_are_ill_conditioned(condition: float, most: float):
    mean, errors = np.zeros(10), []
    for seed in range(4):
        a, b = _ill_conditioned(10, condition, seed)
        found = frechet_distance(gaussian_from_moments(mean, a), gaussian_from_moments(mean, b))
        errors.append([float(abs(_exact(a, b) - value)) for value in (found, _textbook(mean, a, mean, b))])
    ours, textbook = np.median(errors, axis=0)
    assert ours < most
    assert ours < textbook


def test_it_agrees_with_the_textbook_square_root():
    rng = np.random.default_rng(5)
    mean_a, mean_b = rng.normal(size=40), rng.normal(size=40)
    a, b = _covariance(40, 6), _covariance(40, 7)
    found = frechet_distance(gaussian_from_moments(mean_a, a), gaussian_from_moments(mean_b, b))
    assert found == pytest.approx(_textbook(mean_a, a, mean_b, b), rel=1e-9)


def test_identical_sets_are_at_distance_zero():
    features = np.random.default_rng(0).normal(size=(500, 20))
    assert frechet_distance_of_features(features, features) == pytest.approx(0.0, abs=1e-11)
    assert frechet_distance_of_features(features, features[::-1]) == pytest.approx(0.0, abs=1e-11)


def test_it_is_symmetric_and_follows_scaling_and_rotation():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(300, 8)), rng.normal(size=(200, 8)) * 1.5 + 0.3
    rotation = linalg.qr(rng.normal(size=(8, 8)))[0]
    distance = frechet_distance_of_features(x, y)
    assert frechet_distance_of_features(y, x) == pytest.approx(distance, rel=1e-11)
    assert frechet_distance_of_features(x @ rotation, y @ rotation) == pytest.approx(distance, rel=1e-11)
    assert frechet_distance_of_features(3.0 * x, 3.0 * y) == pytest.approx(9.0 * distance, rel=1e-11)


@pytest.mark.parametrize(("n", "m"), [(12, 15), (12, 200), (200, 12)])
def test_fewer_images_than_features_gives_the_exact_distance_of_the_singular_covariances(n: int, m: int):
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(n, 30)), rng.normal(size=(m, 30)) + 0.5
    by_moments = frechet_distance(
        gaussian_from_moments(x.mean(axis=0), np.cov(x, rowvar=False)),
        gaussian_from_moments(y.mean(axis=0), np.cov(y, rowvar=False)),
    )
    assert frechet_distance_of_features(x, y) == pytest.approx(by_moments, rel=1e-6)


def test_low_rank_form_is_exact_where_the_square_root_of_rounding_shows():
    """Two images in 50 dimensions: covariances uu'/2 and vv'/2 of rank one, tr sqrt(S1 S2) = |u.v| / 2."""
    rng = np.random.default_rng(4)
    u, v = rng.normal(size=50), rng.normal(size=50)
    x, y = np.stack([np.zeros(50), u]), np.stack([np.zeros(50), v])
    means = np.square(u / 2 - v / 2).sum()
    expected = means + (u @ u + v @ v) / 2 - abs(u @ v)
    assert frechet_distance_of_features(x, y) == pytest.approx(expected, rel=1e-14)


def test_constant_features_leave_the_distance_of_the_means():
    x, y = np.full((5, 3), 2.0), np.full((6, 3), 5.0)
    assert frechet_distance_of_features(x, y) == pytest.approx(27.0)


def test_float32_statistics_of_a_singular_covariance_are_accepted():
    x = np.random.default_rng(8).normal(size=(10, 25))
    covariance = np.cov(x, rowvar=False).astype(np.float32)
    found = frechet_distance(gaussian_from_moments(x.mean(axis=0), covariance), fit_gaussian(x))
    assert found == pytest.approx(0.0, abs=5e-3)


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        ([0.0, 0.0], np.eye(3), "do not belong together"),
        ([0.0, np.nan], np.eye(2), "NaN"),
        ([0.0, 0.0], np.array([[1.0, 0.5], [0.0, 1.0]]), "not symmetric"),
        ([0.0, 0.0], np.diag([1.0, -0.5]), "positive semi-definite"),
        ([0.0, 0.0], -np.eye(2), "positive semi-definite"),
    ],
)
def test_what_is_no_gaussian_is_refused(mean: list, covariance: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        gaussian_from_moments(mean, covariance)


def test_one_image_and_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        fit_gaussian(np.ones((1, 4)))
    with pytest.raises(ValueError, match="one feature network"):
        frechet_distance(fit_gaussian(np.eye(4)), fit_gaussian(np.eye(5)))


def test_moments_and_rows_give_the_same_fit():
    x = np.random.default_rng(1).normal(size=(400, 7)).astype(np.float32)
    by_rows, by_moments = fit_gaussian(x), fit_gaussian(moments_of(x))
    np.testing.assert_array_equal(by_rows.factor, by_moments.factor)
    assert by_rows.n == by_moments.n == 400
