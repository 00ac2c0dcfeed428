"""Mean and covariance of features in one pass: constant memory, float64, mergeable across shards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.images.arrays import as_feature_rows, row_blocks

__all__ = ["FeatureMoments", "moments_of"]


@dataclass
class FeatureMoments:
    """Running count, mean and scatter matrix of feature rows.

    Batches are centred on their own mean before they are summed (Chan, Golub, LeVeque 1983), so features far from the
    origin lose no digits, and two accumulators merge to the moments of the union whatever the split.

    Parameters
    ----------
    dimension : int
        Number of features per image.

    Example
    -------
    >>> moments = FeatureMoments(2)
    >>> moments.update(np.array([[0.0, 0.0], [2.0, 4.0]]))
    >>> moments.mean.tolist(), moments.covariance().tolist()
    ([1.0, 2.0], [[2.0, 4.0], [4.0, 8.0]])
    """

    dimension: int
    n: int = 0

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise ValueError(f"dimension is {self.dimension}; expected at least 1")
        self.mean = np.zeros(self.dimension)
        self.scatter = np.zeros((self.dimension, self.dimension))

    def update(self, features: np.ndarray) -> None:
        """Add a batch of feature rows.

        Parameters
        ----------
        features : array (n, d), floating
            One row per image; an empty batch changes nothing.

        Raises
        ------
        ValueError
            If the rows have another dimension or hold NaN or infinity; nothing of the batch is then added.
        """
        rows = as_feature_rows(features, minimum=0)
        if rows.shape[1] != self.dimension:
            raise ValueError(f"features have {rows.shape[1]} columns; these moments hold {self.dimension}")
        # Aside first: a bad value in a later block leaves the moments as they were.
        batch = FeatureMoments(self.dimension)
        for block in row_blocks(rows):
            mean = block.mean(axis=0)
            # Centred before squaring: E[x^2] - E[x]^2 cancels where means are large beside spreads.
            block -= mean
            batch._absorb(block.shape[0], mean, block.T @ block)
        self.merge(batch)

    def merge(self, other: FeatureMoments) -> None:
        """Add what another accumulator has seen, e.g. another shard."""
        if other.dimension != self.dimension:
            raise ValueError(f"cannot merge moments of {other.dimension} features into {self.dimension}")
        self._absorb(other.n, other.mean, other.scatter)

    def _absorb(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if n == 0:
            return
        total = self.n + n
        difference = mean - self.mean
        self.scatter += scatter
        # The pairwise update of Chan, Golub and LeVeque (1983), exact for any split into blocks.
        self.scatter += np.outer(difference, difference * (self.n * n / total))
        self.mean = self.mean + difference * (n / total)
        self.n = total

    def covariance(self) -> np.ndarray:
        """Return the unbiased covariance (d, d), float64.

        Raises
        ------
        ValueError
            If fewer than two images were seen.
        """
        if self.n < 2:
            raise ValueError(f"a covariance needs at least 2 images, these moments hold {self.n}")
        # BLAS leaves the two halves a last bit apart; a Cholesky factor reads one of them.
        return (self.scatter + self.scatter.T) / (2.0 * (self.n - 1))


def moments_of(features: np.ndarray) -> FeatureMoments:
    """Return the moments of all rows of an array or memory map (n, d)."""
    rows = as_feature_rows(features)
    moments = FeatureMoments(rows.shape[1])
    moments.update(rows)
    return moments
