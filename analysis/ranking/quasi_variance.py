"""Quasi-variances: one number an arm such that the variance of every contrast is nearly the sum of two of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import least_squares

__all__ = ["quasi_variances"]


def quasi_variances(covariance: np.ndarray) -> np.ndarray | None:
    """Return the quasi-variances of K >= 3 strengths, or None where one of them is negative or none are defined.

    Parameters
    ----------
    covariance : (K, K) float64
        Covariance of the strengths under any constraint; only variances of differences are used.

    Returns
    -------
    (K,) float64 or None
        They minimise the sum of squares of log((q_i + q_j) / var(l_i - l_j)).

    References
    ----------
    Firth and de Menezes, Biometrika 91 (2004).
    """
    size = len(covariance)
    if size < 3:
        return None
    first, second = (np.array(side) for side in zip(*combinations(range(size), 2), strict=True))
    variance = covariance[first, first] + covariance[second, second] - 2.0 * covariance[first, second]
    if variance.min() <= 0.0:
        return None
    design = np.zeros((len(first), size))
    design[np.arange(len(first)), first] = design[np.arange(len(first)), second] = 1.0
    tiny = 1e-9 * variance.min()

    def residual(quasi: np.ndarray) -> np.ndarray:
        # Relative errors: contrasts of any size count alike.
        return np.log(np.maximum(design @ quasi, tiny) / variance)

    def slope(quasi: np.ndarray) -> np.ndarray:
        return design / np.maximum(design @ quasi, tiny)[:, None]

    start = np.linalg.lstsq(design, variance, rcond=None)[0]
    answer = least_squares(residual, start, jac=slope, x_scale=variance.mean(), xtol=1e-15, ftol=1e-15, gtol=1e-15)
    return answer.x if answer.x.min() > 0.0 else None
