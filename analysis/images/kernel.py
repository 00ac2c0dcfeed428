"""Kernel Inception distance: unbiased squared MMD, cubic polynomial kernel (Binkowski et al. 2018, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.images.arrays import as_feature_rows

__all__ = ["KernelDistance", "kernel_distance", "polynomial_mmd2"]


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean of the unbiased subset estimates and the standard error of that mean over new images."""

    value: float
    standard_error: float | None
    subsets: int
    subset_size: int


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
    return (x @ y.T / x.shape[1] + 1.0) ** 3


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
        The standard error is that of new images, not of new subsets: subsets drawn from one finite set of n images vary
        by ``V_m (1 - m/n)`` around its own mean, so ``V_n = V_m m/n`` follows. None when a subset is over half the set.

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
    share = size / smaller
    error = None
    if share <= 0.5:
        # Subsets of one sample overlap and vary less than new samples would; this factor turns the one into the other.
        error = float(np.sqrt(estimates.var(ddof=1) * share / (1.0 - share)))
    return KernelDistance(value=float(estimates.mean()), standard_error=error, subsets=subsets, subset_size=size)


def _subset_mmd2(generated: np.ndarray, reference: np.ndarray, size: int, rng: np.random.Generator) -> float:
    # Sorted indices read a memory map in file order; the estimate does not depend on the order.
    drawn = [np.sort(rng.choice(rows.shape[0], size, replace=False)) for rows in (generated, reference)]
    return polynomial_mmd2(generated[drawn[0]], reference[drawn[1]])
