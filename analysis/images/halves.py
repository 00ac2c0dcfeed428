"""Random halves of the pairs: how a metric varies with its images, alike for every metric, arm and seed.

A resample with replacement holds copies, which move the nearest neighbours of an image and add the small-sample bias of
a Frechet distance a second time. A random half of the images holds none, and its mean varies about that of all images
exactly as the mean of all varies about the truth (Shao and Wu 1989, the delete-half jackknife; Saigo, Shao and Sitter
2001, the half-sample bootstrap). Halves drawn once for all arms keep what the two images of a pair share out of the
spread of a difference.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LEAST_PAIRS", "MOST_ROWS", "half_samples", "half_scale", "thinned"]

#: With fewer there are too few different halves for a spread.
LEAST_PAIRS = 8

#: Distances between all images are computed for so many of them at most: enough to know a spread to a few per cent.
MOST_ROWS = 4096


def half_samples(n: int, count: int, *, seed: int = 0) -> np.ndarray:
    """Return random halves of n images without replacement.

    Parameters
    ----------
    n : int
        At least 2.
    count : int
        Number of halves.
    seed : int
        Same n, count and seed, same halves.

    Returns
    -------
    array (count, n), bool
        Each row with ``n // 2`` members.

    Example
    -------
    >>> half_samples(5, 3).sum(axis=1).tolist()
    [2, 2, 2]
    """
    if n < 2:
        raise ValueError(f"n is {n}; a half needs at least 2 images")
    rng = np.random.default_rng(seed)
    halves = np.zeros((count, n), dtype=bool)
    for half in halves:
        half[rng.permutation(n)[: n // 2]] = True
    return halves


def half_scale(n: int) -> float:
    """Return the factor from the spread of halves to the standard error at n images: 1 for even n.

    A share f of a finite set varies by ``(1 - f) / f`` times the variance of the whole.
    """
    half = n // 2
    return float((half / (n - half)) ** 0.5)


def thinned(n: int, *, most: int = MOST_ROWS, seed: int = 0) -> tuple[np.ndarray, float]:
    """Return the indices of at most ``most`` of n images, and the factor from their spread to that of all n."""
    if n <= most:
        return np.arange(n), 1.0
    kept = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
    return kept, float((most / n) ** 0.5)
