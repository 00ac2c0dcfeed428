"""Frechet distance between Gaussians fitted to features (Dowson and Landau 1982; as FID: Heusel et al. 2017, eq. 6).

With any factors ``S1 = A' A`` and ``S2 = B' B`` the matrix square root of the textbook formula is not needed::

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2) = |m1 - m2|^2 + |A|_F^2 + |B|_F^2 - 2 |A B'|_*

``|.|_*`` being the sum of singular values. The factor is the Cholesky factor of a covariance, or the centred features
themselves over sqrt(n - 1) when there are fewer images than features. Everything stays real and non-negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from analysis.images.arrays import as_feature_rows, row_blocks
from analysis.images.moments import FeatureMoments, moments_of

__all__ = ["GaussianFit", "fit_gaussian", "frechet_distance", "frechet_distance_of_features", "gaussian_from_moments"]

#: A published covariance may be off by float32 rounding; an eigenvalue more negative than this share is no rounding.
_NEGATIVE_EIGENVALUE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian given by its mean and a factor of its covariance.

    Parameters
    ----------
    mean : array (d,), float64
    factor : array (k, d), float64
        ``factor.T @ factor`` is the covariance.
    n : int or None
        Images behind the fit, None when the source does not say.
    """

    mean: np.ndarray
    factor: np.ndarray
    n: int | None = None

    @property
    def dimension(self) -> int:
        """Number of features."""
        return self.mean.shape[0]


def gaussian_from_moments(mean: np.ndarray, covariance: np.ndarray, *, n: int | None = None) -> GaussianFit:
    """Return the Gaussian of a mean and a covariance, e.g. ``mu, sigma`` of a published reference batch.

    Parameters
    ----------
    mean : array (d,)
    covariance : array (d, d)
        Symmetric, positive semi-definite up to float32 rounding.
    n : int, optional
        Images behind the statistics.

    Raises
    ------
    ValueError
        If the shapes disagree, a number is not finite, or the matrix is not a covariance.
    """
    mean = np.asarray(mean, dtype=np.float64)
    covariance = np.asarray(covariance, dtype=np.float64)
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
        raise ValueError(f"mean {mean.shape} and covariance {covariance.shape} do not belong together: (d,) and (d, d)")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("mean or covariance holds NaN or infinity; compute the statistics again")
    scale = float(np.abs(covariance).max(initial=0.0))
    # Relative to its size: published statistics were summed in float32.
    if np.abs(covariance - covariance.T).max(initial=0.0) > 1e-5 * scale:
        raise ValueError("the covariance is not symmetric; it is not a covariance matrix")
    return GaussianFit(mean, _covariance_factor((covariance + covariance.T) / 2.0), n)


def _covariance_factor(covariance: np.ndarray) -> np.ndarray:
    """Return F (k, d) with ``F.T @ F == covariance``: Cholesky, or the eigenvectors where it is singular."""
    try:
        return linalg.cholesky(covariance, lower=False, check_finite=False)
    except linalg.LinAlgError:
        eigenvalues, vectors = linalg.eigh(covariance, check_finite=False)
    if eigenvalues[0] < -_NEGATIVE_EIGENVALUE_TOLERANCE * max(eigenvalues[-1], 0.0) or eigenvalues[-1] < 0.0:
        raise ValueError(f"the covariance has eigenvalue {eigenvalues[0]:.3g}; it is not positive semi-definite")
    kept = eigenvalues > 0.0
    return np.sqrt(eigenvalues[kept])[:, None] * vectors[:, kept].T


def fit_gaussian(features: np.ndarray | FeatureMoments) -> GaussianFit:
    """Fit a Gaussian to features, exactly also when there are fewer images than features.

    Parameters
    ----------
    features : array (n, d) or FeatureMoments
        Rows (kept as the factor when n <= d), or moments accumulated elsewhere.

    Raises
    ------
    ValueError
        If there are fewer than two images, or a feature is NaN or infinite.
    """
    if isinstance(features, FeatureMoments):
        return GaussianFit(features.mean.copy(), _covariance_factor(features.covariance()), features.n)
    rows = as_feature_rows(features, minimum=2)
    if rows.shape[0] > rows.shape[1]:
        return fit_gaussian(moments_of(rows))
    # With fewer images than features the rows are the factor: no singular covariance has to be decomposed.
    centred = np.concatenate(list(row_blocks(rows)))
    mean = centred.mean(axis=0)
    centred -= mean
    centred /= np.sqrt(rows.shape[0] - 1.0)
    return GaussianFit(mean, centred, rows.shape[0])


def frechet_distance(first: GaussianFit, second: GaussianFit) -> float:
    """Return the squared Frechet distance of two Gaussians (the number called FID on Inception features).

    Parameters
    ----------
    first, second : GaussianFit
        Of the same dimension.

    Returns
    -------
    float
        At least 0; 0 for equal Gaussians up to rounding.

    Raises
    ------
    ValueError
        If the dimensions differ.

    Example
    -------
    >>> frechet_distance(gaussian_from_moments([0.0], [[1.0]]), gaussian_from_moments([3.0], [[4.0]]))
    10.0
    """
    if first.dimension != second.dimension:
        raise ValueError(f"cannot compare {first.dimension} features with {second.dimension}: use one feature network")
    difference = first.mean - second.mean
    traces = float(np.square(first.factor).sum() + np.square(second.factor).sum())
    # tr (S1^1/2 S2 S1^1/2)^1/2 is the sum of the singular values of F1 F2': no root of a product that is not symmetric.
    overlap = float(linalg.svdvals(first.factor @ second.factor.T, check_finite=False, overwrite_a=True).sum())
    # Rounding may leave equal Gaussians just below zero.
    return max(float(difference @ difference) + traces - 2.0 * overlap, 0.0)


def frechet_distance_of_features(generated: np.ndarray, reference: np.ndarray) -> float:
    """Return the squared Frechet distance between two feature arrays (n, d) and (m, d)."""
    return frechet_distance(fit_gaussian(generated), fit_gaussian(reference))
