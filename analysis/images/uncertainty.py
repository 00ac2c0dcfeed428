"""How far a Frechet distance can be trusted: sampling error, small-sample bias, spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from analysis.images.arrays import as_feature_rows, row_blocks
from analysis.images.frechet import GaussianFit, fit_gaussian, frechet_distance
from analysis.images.moments import moments_of

__all__ = [
    "SizeExtrapolation",
    "bootstrap_frechet",
    "extrapolate_frechet",
    "frechet_influence",
    "frechet_standard_error",
    "interval_over_seeds",
]


def bootstrap_frechet(
    generated: np.ndarray, reference: GaussianFit, *, replicates: int = 100, seed: int = 0
) -> np.ndarray:
    """Return Frechet distances of images drawn again with replacement, the reference kept fixed.

    Their spread is the sampling error of the distance. Their mean is not the distance: a resample repeats images, which
    adds the small-sample bias a second time, so an interval is laid around the value, not read off the quantiles.

    Parameters
    ----------
    generated : array (n, d), floating
        n >= 2.
    reference : GaussianFit
    replicates : int
        At least 2; each costs one covariance and one distance.
    seed : int
        Seed of the resampling.

    Returns
    -------
    array (replicates,), float64
    """
    rows = as_feature_rows(generated, name="generated", minimum=2)
    if replicates < 2:
        raise ValueError(f"replicates is {replicates}; at least 2 are needed for a spread")
    rng = np.random.default_rng(seed)
    # Sorted for memory maps; a fit does not depend on the order.
    draws = (np.sort(rng.integers(0, rows.shape[0], rows.shape[0])) for _ in range(replicates))
    return np.array([frechet_distance(fit_gaussian(rows[draw]), reference) for draw in draws])


def frechet_standard_error(generated: np.ndarray, reference: GaussianFit) -> float | None:
    """Return the infinitesimal jackknife standard error of the Frechet distance: the bootstrap's limit in one pass.

    Parameters and None as for :func:`frechet_influence`, of which this is the spread over sqrt(n).
    """
    influence = frechet_influence(generated, reference)
    return None if influence is None else float(influence.std(ddof=1) / np.sqrt(influence.size))


def frechet_influence(generated: np.ndarray, reference: GaussianFit) -> np.ndarray | None:
    """Return how far each image moves the Frechet distance: the distance's derivative in the weight of the image.

    The derivative of the distance in the covariance is ``I - T``, T being the optimal transport map from the generated
    to the reference Gaussian (Dowson and Landau 1982). One image x thus moves the distance by
    ``2 (m1 - m2).z + z'(I - T) z - tr((I - T) S1)`` with z = x - m1, and the spread of that over images gives the
    error.

    Parameters
    ----------
    generated : array (n, d), floating
        More images than features, otherwise T does not exist.
    reference : GaussianFit

    Returns
    -------
    array (n,), float64, or None
        With mean zero. None when the generated covariance is singular (or n <= d): use :func:`bootstrap_frechet` then.
    """
    rows = as_feature_rows(generated, name="generated", minimum=2)
    # The derivative needs an inverse of the covariance.
    if rows.shape[0] <= rows.shape[1]:
        return None
    moments = moments_of(rows)
    try:
        lower = linalg.cholesky(moments.covariance(), lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None
    # T = L^-T (L' S2 L)^(1/2) L^-1, so z'Tz = w'(L' S2 L)^(1/2) w with w = L^-1 z.
    root = _psd_root(reference.factor @ lower)
    difference = moments.mean - reference.mean
    influence = []
    for block in row_blocks(rows):
        centred = block - moments.mean
        whitened = linalg.solve_triangular(lower, centred.T, lower=True, check_finite=False)
        quadratic = np.square(centred).sum(axis=1) - np.einsum("ij,ij->j", whitened, root @ whitened)
        influence.append(2.0 * centred @ difference + quadratic)
    found = np.concatenate(influence)
    return found - found.mean()


def _psd_root(factor: np.ndarray) -> np.ndarray:
    """Return (F'F)^(1/2) from the singular value decomposition of F."""
    _, singular, right = linalg.svd(factor, full_matrices=False, check_finite=False)
    return (right.T * singular) @ right


@dataclass(frozen=True, kw_only=True)
class SizeExtrapolation:
    """Frechet distance at several numbers of images and its limit for infinitely many (Chong and Forsyth 2020).

    ``value`` is the intercept of the line through ``distances`` over ``1/sizes``, ``slope`` its bias times n.
    """

    sizes: tuple[int, ...]
    distances: tuple[float, ...]
    value: float
    slope: float


def extrapolate_frechet(
    generated: np.ndarray, reference: GaussianFit, *, points: int = 8, draws: int = 1, seed: int = 0
) -> SizeExtrapolation:
    """Return the Frechet distance at several n and extrapolated to infinitely many generated images.

    The bias of the distance falls as 1/n; sizes are evenly spaced in 1/n from a fifth of the images to all of them. The
    reference's own bias remains: it is fixed and shared by the arms.

    Parameters
    ----------
    generated : array (n, d), floating
        At least 10 images.
    reference : GaussianFit
    points : int
        Number of sizes, at least 3.
    draws : int
        Random subsets averaged at each size below n.
    seed : int
        Seed of the subsets.
    """
    rows = as_feature_rows(generated, name="generated", minimum=10)
    if points < 3:
        raise ValueError(f"points is {points}; a line needs at least 3 sizes to be worth drawing")
    n = rows.shape[0]
    # Evenly spaced in 1 / n, in which the bias is a line (Chong and Forsyth 2020).
    sizes = np.unique((1.0 / np.linspace(1.0 / n, 5.0 / n, points)).round().astype(int))
    rng = np.random.default_rng(seed)
    distances = [_mean_distance(rows, int(size), reference, draws, rng) for size in sizes]
    fit = stats.linregress(1.0 / sizes, distances)
    return SizeExtrapolation(
        sizes=tuple(int(size) for size in sizes),
        distances=tuple(distances),
        value=float(fit.intercept),
        slope=float(fit.slope),
    )


def _mean_distance(rows: np.ndarray, size: int, reference: GaussianFit, draws: int, rng: np.random.Generator) -> float:
    # All images are one set, however often it is drawn.
    if size == rows.shape[0]:
        return frechet_distance(fit_gaussian(rows), reference)
    subsets = (np.sort(rng.choice(rows.shape[0], size, replace=False)) for _ in range(draws))
    return float(np.mean([frechet_distance(fit_gaussian(rows[subset]), reference) for subset in subsets]))


def interval_over_seeds(values: Sequence[float]) -> tuple[float, float, tuple[float, float]]:
    """Return mean, standard deviation and 95 % t-interval of the mean of one metric over training or sampling seeds.

    Raises
    ------
    ValueError
        If there are fewer than two seeds, or a value is not finite.

    Example
    -------
    >>> mean, sd, interval = interval_over_seeds([1.0, 2.0, 3.0])
    >>> mean, sd, [round(bound, 4) for bound in interval]
    (2.0, 1.0, [-0.4841, 4.4841])
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size < 2:
        raise ValueError(f"{numbers.size} seed(s) given; the spread over seeds needs at least 2")
    if not np.isfinite(numbers).all():
        raise ValueError("the metric of a seed is NaN or infinite; leave that seed out and say so")
    mean, deviation = float(numbers.mean()), float(numbers.std(ddof=1))
    half = float(stats.t.ppf(0.975, numbers.size - 1)) * deviation / numbers.size**0.5
    return mean, deviation, (mean - half, mean + half)
