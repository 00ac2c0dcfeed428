"""A sparse table times its transpose: what eliminating its rows leaves to the system of its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from analysis.inference.two_threads import by_halves
from analysis.regression.cross_table import CrossTable

__all__ = ["BLOCK_ROWS", "LoadGrams", "filled_share", "gram", "load_grams"]

# Rows at a time: few enough for the cache.
BLOCK_ROWS = 2048
# Above this share of filled cells BLAS on a dense block beats the sparse product (4096 x 1000 levels, one core).
_DENSE_ABOVE = 0.08
# 32 MB for each sum over half of the rows.
_MOST_SUMMED_TWICE = 2000
# 256 MB: thirty-two different loads beside 1000 levels.
_MOST_GRAM_NUMBERS = 32 * 1000**2


@dataclass(frozen=True, kw_only=True)
class LoadGrams:
    """Z_column' Z_row Z_row' Z_column of equal weights, apart for each load of the larger factor.

    With every vote weighing 1 the Schur complement is a weighted sum of these at any scales, and so are the traces of
    its inverse: a fit that changes scales alone goes through the votes once.

    Parameters
    ----------
    loads, rows : (G,) float64
        Distinct numbers of votes of a row, and how many rows have so many.
    grams : (G, n_columns, n_columns) float64
    """

    loads: np.ndarray
    rows: np.ndarray
    grams: np.ndarray

    def summed(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of the matrices, each times its weight."""
        return np.tensordot(weights, self.grams, axes=1)

    def traces(self, inner: np.ndarray) -> np.ndarray:
        """Return the trace of each matrix times a symmetric one, (G,)."""
        return np.array([float(np.vdot(gram, inner)) for gram in self.grams])


def load_grams(table: CrossTable) -> LoadGrams | None:
    """Return the matrices of a table whose cells all weigh 1, or None where they would take too much memory."""
    loads, group = np.unique(table.row_sums(np.ones(len(table.rows))), return_inverse=True)
    # As many matrices as different loads: with many of them the general way takes less room.
    if len(loads) * table.n_columns**2 > _MOST_GRAM_NUMBERS:
        return None
    counts = np.bincount(table.slot, minlength=table.slots).astype(np.float64)
    shape = (table.n_rows, table.n_columns)
    cells = sparse.csr_array((counts, table.slot_columns, table.indptr), shape=shape)
    grams = np.stack([gram(cells[np.flatnonzero(group == which)]) for which in range(len(loads))])
    return LoadGrams(loads=loads, rows=np.bincount(group).astype(np.float64), grams=grams)


def filled_share(cells: sparse.csr_array) -> float:
    """Return the share of filled cells."""
    return cells.nnz / max(cells.shape[0] * cells.shape[1], 1)


def gram(matrix: sparse.csr_array, scale: np.ndarray | None = None) -> np.ndarray:
    """Return matrix' matrix as a dense array, the rows of the matrix scaled; in blocks, which stay in the cache."""
    share = filled_share(matrix)
    # Sparse products of small blocks would cost less than it takes to add them up.
    size = BLOCK_ROWS if share > _DENSE_ABOVE else max(BLOCK_ROWS, int(4.0 / max(share, 1e-9) ** 2))

    def added(begin: int, end: int) -> np.ndarray:
        total = np.zeros((matrix.shape[1], matrix.shape[1]))
        for start in range(begin, end, size):
            block = matrix[start : min(start + size, end)]
            if scale is not None:
                # Not in place: the block's numbers may be those of the whole matrix.
                block.data = block.data * np.repeat(scale[start : start + block.shape[0]], np.diff(block.indptr))
            if share > _DENSE_ABOVE:
                filled = block.toarray()
                total += filled.T @ filled
            else:
                total += (block.T.tocsr() @ block).toarray()
        return total

    # A sum for each half would be too much where one of them is hundreds of megabytes.
    if matrix.shape[1] > _MOST_SUMMED_TWICE:
        return added(0, matrix.shape[0])
    return np.sum(by_halves(added, matrix.shape[0]), axis=0)
