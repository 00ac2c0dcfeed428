"""Monge Inception distance (MIND): sliced squared 2-Wasserstein distance of two sets of features.

Both sets are projected onto random directions; in one dimension the optimal transport of equally many images joins the
k-th smallest to the k-th smallest, so a sort gives it exactly. No covariance is estimated, hence the little bias at few
images.

References
----------
Berthet et al. 2026, "MIND: Monge Inception Distance for Generative Models Evaluation" (arXiv 2605.06797), as
torch-fidelity (commit 5e211a9) computes it: ``3 d / (n M) sum_i sum_j (sort(X u_i)_j - sort(Y u_i)_j)^2``.
del Barrio and Loubes 2019, "Central limit theorems for empirical transportation cost in general dimension", Annals of
Probability 47: the transport cost varies over new samples as the mean of its Kantorovich potential does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from analysis.images.arrays import as_feature_rows, row_blocks

__all__ = ["SlicedDistance", "random_directions", "sliced_distance"]

#: Directions projected onto at once: a block of them is what memory holds.
_DIRECTIONS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class SlicedDistance:
    """The distance at ``n`` images a side, its standard error over new generated images, and what each image adds.

    ``influence`` (n,) of the generated images that were taken has mean zero; its spread over sqrt(n) is the standard
    error.
    """

    value: float
    standard_error: float
    n: int
    influence: np.ndarray = field(compare=False, repr=False)


def random_directions(dimension: int, count: int, *, seed: int = 0) -> np.ndarray:
    """Return unit vectors in uniform directions: array (count, dimension), float64."""
    directions = np.random.default_rng(seed).standard_normal((count, dimension))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def sliced_distance(
    generated: np.ndarray,
    reference: np.ndarray,
    *,
    projections: int = 1000,
    seed: int = 0,
    directions: np.ndarray | None = None,
) -> SlicedDistance:
    """Return 3 d times the mean squared 2-Wasserstein distance of the projections onto random directions.

    The factor brings it to the scale of a Frechet distance: of Gaussians ``N(m, s^2 I)`` and ``N(m', s'^2 I)`` it is
    ``3 (|m - m'|^2 + d (s - s')^2)``, three times that distance. It is biased upward by about 1/n, so values are
    compared at one n only.

    Parameters
    ----------
    generated, reference : array (n, d) and (m, d), floating
        Of the larger set as many rows are drawn as the smaller has, as published.
    projections : int
        Number of directions (published: 1000).
    seed : int
        Seed of rows and directions.
    directions : array (M, d), optional
        Unit vectors in place of random ones.

    Raises
    ------
    ValueError
        If a side has fewer than two images, the dimensions differ, or a feature is NaN or infinite.

    Example
    -------
    >>> round(sliced_distance(np.zeros((4, 1)), np.full((4, 1), 2.0)).value, 6)
    12.0
    """
    generated = as_feature_rows(generated, name="generated", minimum=2)
    reference = as_feature_rows(reference, name="reference", minimum=2)
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"generated has {generated.shape[1]} features, reference {reference.shape[1]}; use one network"
        )
    if directions is None:
        if projections < 1:
            raise ValueError(f"projections is {projections}; at least 1 is needed")
        directions = random_directions(generated.shape[1], projections, seed=seed)
    n = min(generated.shape[0], reference.shape[0])
    ours, theirs = (_drawn(side, n, seed) for side in (generated, reference))
    total, influence = 0.0, np.zeros(n)
    for block in _blocks(directions):
        cost, potential = _transport(
            _projected(ours, block, name="generated"), _projected(theirs, block, name="reference")
        )
        total += cost
        influence += potential
    factor = 3.0 * generated.shape[1] / len(directions)
    influence = factor * (influence - influence.mean())
    return SlicedDistance(
        value=factor * total,
        standard_error=float(influence.std(ddof=1) / n**0.5),
        n=n,
        influence=influence,
    )


def _drawn(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return n of the rows: all of them as they lie, or a random choice."""
    if rows.shape[0] == n:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(rows.shape[0], n, replace=False))]


def _blocks(directions: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(directions), _DIRECTIONS_AT_ONCE):
        yield directions[start : start + _DIRECTIONS_AT_ONCE]


def _projected(rows: np.ndarray, directions: np.ndarray, *, name: str) -> np.ndarray:
    """Return array (M, n): each row holds all images on one direction."""
    return np.concatenate([directions @ block.T for block in row_blocks(rows, name=name)], axis=1)


def _transport(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the cost of moving each row of x to that of y, summed over rows, and each column's potential summed.

    Along a direction the potential's slope is ``2 (x - T(x))`` with T the transport; between two neighbours T is taken
    as the mean of its two ends, which solves the dual exactly.
    """
    order = np.argsort(x, axis=1)
    x, y = np.take_along_axis(x, order, axis=1), np.sort(y, axis=1)
    steps = np.diff(x, axis=1) * ((x[:, 1:] - y[:, 1:]) + (x[:, :-1] - y[:, :-1]))
    potential = np.zeros_like(x)
    np.cumsum(steps, axis=1, out=potential[:, 1:])
    summed = np.zeros(x.shape[1])
    np.add.at(summed, order, potential - potential.mean(axis=1, keepdims=True))
    return float(np.square(x - y).mean(axis=1).sum()), summed
