"""How different two images of a pair look: pairs that look the same waste votes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter

__all__ = ["DISTANCE_NAME", "pair_distances", "structural_dissimilarity"]

DISTANCE_NAME = "dssim-gauss1.5"
"""Recorded beside every distance; a change of the measure must change this name."""

# Window and constants of Wang et al. (2004), for pixels of 0 to 255.
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _luma(pixels: np.ndarray) -> np.ndarray:
    """Rec. 601 luma of (H, W, 1 or 3) uint8 as float64 in 0..255."""
    values = pixels.astype(np.float64)
    # Wang et al. define the index on luma.
    return values[..., 0] if pixels.shape[-1] == 1 else values @ np.array([0.299, 0.587, 0.114])


def structural_dissimilarity(first: np.ndarray, second: np.ndarray) -> float:
    """``(1 - mean SSIM) / 2`` of the luma: 0 for equal images, about 0.5 for unrelated ones, 1 at most.

    Parameters
    ----------
    first, second : ndarray (H, W, C), uint8, of one shape, C of 1 or 3

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Wang et al. 2004 (IEEE TIP 13:4), equation 13, Gaussian window of 1.5 pixels.
    """
    if first.shape != second.shape:
        raise ValueError(f"images have shapes {first.shape} and {second.shape}; only equal sizes can be compared")
    x, y = _luma(first), _luma(second)
    mean_x, mean_y = gaussian_filter(x, _SIGMA), gaussian_filter(y, _SIGMA)
    variance_x = gaussian_filter(x * x, _SIGMA) - mean_x**2
    variance_y = gaussian_filter(y * y, _SIGMA) - mean_y**2
    covariance = gaussian_filter(x * y, _SIGMA) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    return float(np.clip((1.0 - similarity.mean()) / 2.0, 0.0, 1.0))


def pair_distances(images: Mapping[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """Distance of every two arms' images of a pair, by the arms' names in order."""
    return {
        (one, other): structural_dissimilarity(images[one], images[other])
        for one, other in combinations(sorted(images), 2)
    }
