"""Linear algebra of two crossed random intercepts: the penalised system H = I + L Z' W Z L and its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from analysis.inference.two_threads import by_halves
from analysis.regression.cross_table import CrossTable
from analysis.regression.grams import BLOCK_ROWS, LoadGrams, filled_share, gram

__all__ = ["MOST_DENSE_LEVELS", "CrossedFactor", "CrossedInverse"]

# The smaller factor is kept dense: 8 bytes x levels^2, several copies. Beyond this a fit would need more than 4 GB.
MOST_DENSE_LEVELS = 8000
# Above this share of filled cells a dense block times a dense matrix beats a sparse one (4096 x 1000 levels, one core).
_DENSE_ABOVE = 0.2
# OpenBLAS starts threads for dpotri at any size, which on a busy machine costs a small system its whole time slice.
_SMALL = 200


@dataclass(frozen=True, kw_only=True)
class CrossedInverse:
    """The entries of H^-1 that a Laplace or REML gradient needs: both diagonals and the filled cells."""

    row: np.ndarray
    column: np.ndarray
    slot: np.ndarray


class CrossedFactor:
    """H = I + L Z' W Z L factorised by the Schur complement on the smaller factor.

    With A (diagonal) the block of the larger factor, B the cells and C the block of the smaller one,
    S = C - B' A^-1 B is dense and of the size of the smaller factor only.

    Parameters
    ----------
    table : CrossTable
    weight : (C,) float64
        Non-negative weight of each cell.
    row_sd, column_sd : float
        Scales L of the two factors; 0 takes a factor out.
    grams : LoadGrams or None
        Of the table, where every cell weighs 1.

    Raises
    ------
    numpy.linalg.LinAlgError
        If H is not positive definite to working precision.
    """

    def __init__(
        self,
        table: CrossTable,
        weight: np.ndarray,
        row_sd: float,
        column_sd: float,
        *,
        grams: LoadGrams | None = None,
    ) -> None:
        self.table, self.row_sd, self.column_sd, self._grams = table, row_sd, column_sd, grams
        self.slot_weight = np.bincount(table.slot, weights=weight, minlength=table.slots)
        self.row_weight, self.column_weight = table.row_sums(weight), table.column_sums(weight)
        # Levels of one factor never meet in a cell, so their block of H is diagonal and inverts by division.
        self.row_diagonal = 1.0 + row_sd**2 * self.row_weight
        self._cells = sparse.csr_array(
            (row_sd * column_sd * self.slot_weight, table.slot_columns, table.indptr),
            shape=(table.n_rows, table.n_columns),
        )
        self._cholesky = _cholesky(self._schur(1.0 + column_sd**2 * self.column_weight))

    def _schur(self, column_diagonal: np.ndarray) -> np.ndarray:
        if self._grams is not None:
            product = self._grams.summed((self.row_sd * self.column_sd) ** 2 / self._load_diagonal(self._grams))
        else:
            # Scaled by the root of the diagonal, so that the product is symmetric to the last bit.
            product = gram(self._cells, 1.0 / np.sqrt(self.row_diagonal))
        np.negative(product, out=product)
        product[np.diag_indices_from(product)] += column_diagonal
        return product

    def log_determinant(self) -> float:
        """Return log |H|."""
        return float(np.log(self.row_diagonal).sum() + 2.0 * np.log(np.diagonal(self._cholesky)).sum())

    def solve(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve H (x_row, x_column) = (row, column); each (levels,) or (levels, m)."""
        diagonal = self.row_diagonal if row.ndim == 1 else self.row_diagonal[:, None]
        # LAPACK directly: SciPy's wrapper would check and copy at every solve.
        x_column, _ = lapack.dpotrs(self._cholesky, column - self._cells.T @ (row / diagonal), lower=1)
        x_column = x_column.reshape(column.shape)
        return (row - self._cells @ x_column) / diagonal, x_column

    def inverse(self) -> CrossedInverse:
        """Return the needed entries of H^-1, in blocks of rows to bound the memory."""
        table = self.table
        inner = _inverse(self._cholesky)
        row, slot = np.empty(table.n_rows), np.empty(table.slots)

        def fill(begin: int, end: int) -> None:
            for start in range(begin, end, BLOCK_ROWS):
                self._fill_block(slice(start, min(start + BLOCK_ROWS, end)), inner, row=row, slot=slot)

        by_halves(fill, table.n_rows)
        return CrossedInverse(row=row, column=np.diagonal(inner).copy(), slot=slot)

    def _fill_block(self, rows: slice, inner: np.ndarray, *, row: np.ndarray, slot: np.ndarray) -> None:
        """Write the entries of some rows, by Woodbury's identity, of which only those at filled cells are asked for."""
        table, diagonal = self.table, self.row_diagonal[rows]
        filled = slice(table.indptr[rows.start], table.indptr[rows.stop])
        cells = self._cells[rows]
        local = np.repeat(np.arange(len(diagonal)), np.diff(cells.indptr))
        product = (cells.toarray() if filled_share(cells) > _DENSE_ABOVE else cells) @ inner
        at_slots = product[local, table.slot_columns[filled]]
        leverage = np.bincount(local, weights=at_slots * cells.data, minlength=len(diagonal))
        row[rows] = (1.0 + leverage / diagonal) / diagonal
        slot[filled] = -at_slots / diagonal[local]

    def _load_diagonal(self, grams: LoadGrams) -> np.ndarray:
        """Return the diagonal of the larger factor's block, one number a load."""
        return 1.0 + self.row_sd**2 * grams.loads

    def scale_traces(self, inverse: CrossedInverse | None = None) -> tuple[float, float]:
        """Return the derivatives of log |H| in ``row_sd`` and ``column_sd`` at fixed weights.

        Without the inverse they are taken from the matrices by load.
        """
        if inverse is None:
            if self._grams is None:
                raise ValueError("the traces need the inverse where the table has no matrices by load")
            return self._load_traces(self._grams)
        crossed = 2.0 * float(self.slot_weight @ inverse.slot)
        row = 2.0 * self.row_sd * float(self.row_weight @ inverse.row) + self.column_sd * crossed
        column = 2.0 * self.column_sd * float(self.column_weight @ inverse.column) + self.row_sd * crossed
        return row, column

    def _load_traces(self, grams: LoadGrams) -> tuple[float, float]:
        inner, diagonal = _inverse(self._cholesky), self._load_diagonal(grams)
        within = (self.row_sd * self.column_sd) ** 2 * grams.traces(inner) / diagonal
        # Sums over rows of load x (H^-1)_rr, over cells of (H^-1)_rc, over columns of load x (H^-1)_cc.
        by_row = float((grams.loads * (grams.rows + within) / diagonal).sum())
        by_column = float(self.column_weight @ np.diagonal(inner))
        scale = self.row_sd * self.column_sd
        # An SD held at 0 takes its factor out of the model, and the cells with it.
        crossed = -2.0 * float(within.sum()) / scale if scale else 0.0
        row = 2.0 * self.row_sd * by_row + self.column_sd * crossed
        return row, 2.0 * self.column_sd * by_column + self.row_sd * crossed


def _cholesky(matrix: np.ndarray) -> np.ndarray:
    factor, info = lapack.dpotrf(matrix, lower=1)
    # dpotrf lets NaN pass without complaint.
    if info != 0 or not np.isfinite(factor[0, 0]):
        raise np.linalg.LinAlgError("the crossed system is not positive definite to working precision")
    return factor


def _inverse(cholesky: np.ndarray) -> np.ndarray:
    """Return the full symmetric inverse of L L'."""
    if len(cholesky) <= _SMALL:
        half = np.linalg.inv(np.tril(cholesky))
        return half.T @ half
    inner, _ = lapack.dpotri(cholesky, lower=1)
    # dpotri fills one triangle and leaves in the other what stood there.
    inner = np.tril(inner)
    inner += np.tril(inner, -1).T
    return inner
