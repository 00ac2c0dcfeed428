"""Kernel Inception distance: unbiased squared MMD, cubic polynomial kernel (Binkowski et al. 2018, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analysis.images.arrays import as_feature_rows
from analysis.images.halves import half_samples, half_scale, thinned

__all__ = ["KernelDistance", "kernel_distance", "kernel_half_estimates", "polynomial_mmd2"]

#: Halves of each side that give the standard error of one kernel distance.
_HALVES = 200
#: Rows of a kernel matrix held at once.
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean of the unbiased subset estimates and the standard error of that mean over new images of both sides."""

    value: float
    standard_error: float
    subsets: int
    subset_size: int
    #: Estimate of each subset, (subsets,).
    estimates: np.ndarray = field(compare=False, repr=False)


def polynomial_mmd2(generated: np.ndarray, reference: np.ndarray) -> float:
    """Return the unbiased squared MMD with kernel ``(x.y / d + 1)^3``; it can be negative when the sets agree.

    Parameters
    ----------
    generated, reference : array (n, d) and (m, d)
        At least two rows each.
    """
    generated = np.asarray(as_feature_rows(generated, name="generated", minimum=2), dtype=np.float64)
    reference = np.asarray(as_feature_rows(reference, name="reference", minimum=2), dtype=np.float64)
    within = _mean_off_diagonal(generated) + _mean_off_diagonal(reference)
    return within - 2.0 * float(_kernel(generated, reference).mean())


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    # Two products take a tenth of the time of a power.
    return base * base * base


def _mean_off_diagonal(x: np.ndarray) -> float:
    gram = _kernel(x, x)
    # An image beside itself is no draw of two: leaving it out is what makes the estimate unbiased.
    return float((gram.sum() - np.trace(gram)) / (x.shape[0] * (x.shape[0] - 1)))


def kernel_distance(
    generated: np.ndarray, reference: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Return the kernel distance averaged over random subsets, the form in which KID is published.

    A set with fewer images than ``subset_size`` is drawn from at half its size; the estimate stays unbiased.

    Parameters
    ----------
    generated, reference : array (n, d) and (m, d), floating
    subsets : int
        Number of random subsets.
    subset_size : int
        Images drawn without replacement from each side.
    seed : int
        Seed of the draws: same features, same seed, same value.

    Returns
    -------
    KernelDistance
        The standard error is that of new images on both sides, at any number of them: from the spread of the unbiased
        estimate over random halves of one side beside the whole of the other. Where both sides have one distribution it
        is too large by up to 1.7, since halves feel the curvature of the estimate more than the whole does.

    Raises
    ------
    ValueError
        If a side has fewer than four images, the dimensions differ, or a feature is NaN or infinite.
    """
    generated = as_feature_rows(generated, name="generated", minimum=4)
    reference = as_feature_rows(reference, name="reference", minimum=4)
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"generated has {generated.shape[1]} features, reference {reference.shape[1]}; use one network"
        )
    if subsets < 2:
        raise ValueError(f"subsets is {subsets}; at least 2 are needed for a standard error")
    smaller = min(generated.shape[0], reference.shape[0])
    # Half of a set smaller than that: whole ones would be the same subset each time, without a spread.
    size = min(subset_size, smaller if smaller >= subset_size else smaller // 2)
    if size < 2:
        raise ValueError(f"subset_size is {subset_size}; at least 2 images are needed")
    rng = np.random.default_rng(seed)
    estimates = np.array([_subset_mmd2(generated, reference, size, rng) for _ in range(subsets)])
    if not np.isfinite(estimates).all():
        raise ValueError("a feature is NaN or infinite; the kernel distance is not defined")
    variance = _half_variance(generated, reference, seed) + _half_variance(reference, generated, seed)
    # A mean of few or small subsets is further from the estimate by all images than new images would be.
    variance += float(estimates.var(ddof=1)) / subsets
    return KernelDistance(
        value=float(estimates.mean()),
        standard_error=variance**0.5,
        subsets=subsets,
        subset_size=size,
        estimates=estimates,
    )


def _half_variance(drawn: np.ndarray, other: np.ndarray, seed: int) -> float:
    """Return the variance of the distance over new images of one side."""
    kept, factor = thinned(drawn.shape[0], seed=seed)
    beside, _ = thinned(other.shape[0], seed=seed)
    halves = half_samples(kept.size, _HALVES, seed=seed)
    estimates = kernel_half_estimates(drawn[kept], other[beside], halves)
    return float(np.square(estimates.std(ddof=1) * half_scale(kept.size) * factor))


def kernel_half_estimates(drawn: np.ndarray, other: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Return what varies of the unbiased squared MMD over halves of one set, the other set kept whole.

    Parameters
    ----------
    drawn, other : array (n, d) and (m, d)
        At least four rows in ``drawn``; at most :data:`~analysis.images.halves.MOST_ROWS` on each side are sensible.
    halves : array (B, n), bool
        As :func:`analysis.images.halves.half_samples` draws them.

    Returns
    -------
    array (B,), float64
        Mean kernel within the half less twice that between the half and the other set. The mean kernel within the
        other set, a constant, is left out.
    """
    drawn, other = np.asarray(drawn, dtype=np.float64), np.asarray(other, dtype=np.float64)
    member = halves.astype(np.float64)
    size = int(halves[0].sum())
    within, across = np.zeros(len(halves)), np.zeros(len(halves))
    for start in range(0, drawn.shape[0], _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        gram = _kernel(drawn[part], drawn)
        rows = np.arange(gram.shape[0])
        # An image beside itself is no draw of two.
        gram[rows, start + rows] = 0.0
        within += np.einsum("bi,bi->b", member[:, part], member @ gram.T)
        across += member[:, part] @ _kernel(drawn[part], other).mean(axis=1)
    return within / (size * (size - 1)) - 2.0 * across / size


def _subset_mmd2(generated: np.ndarray, reference: np.ndarray, size: int, rng: np.random.Generator) -> float:
    # Sorted indices read a memory map in file order; the estimate does not depend on the order.
    drawn = [np.sort(rng.choice(rows.shape[0], size, replace=False)) for rows in (generated, reference)]
    return polynomial_mmd2(generated[drawn[0]], reference[drawn[1]])
