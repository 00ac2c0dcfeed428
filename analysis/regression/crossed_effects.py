"""Linear algebra of two crossed random intercepts: the penalised system H = I + L Z' W Z L and its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

__all__ = [
    "MOST_DENSE_LEVELS",
    "CrossTable",
    "CrossedFactor",
    "CrossedInverse",
    "LoadGrams",
    "cross_table",
    "load_grams",
]

# The smaller factor is kept dense: 8 bytes x levels^2, several copies. Beyond this a fit would need more than 4 GB.
MOST_DENSE_LEVELS = 8000
# Above this share of filled cells BLAS on the dense table beats the sparse product (2000 x 1000 levels, 2 cores).
_DENSE_ABOVE = 0.12
_BLOCK_ROWS = 2048
# 256 MB: thirty-two different loads beside 1000 levels.
_MOST_GRAM_NUMBERS = 32 * 1000**2
# OpenBLAS starts threads for dpotri at any size, which on a busy machine costs a small system its whole time slice.
_SMALL = 200


@dataclass(frozen=True, kw_only=True)
class CrossTable:
    """Which cell of the table belongs to which level of the larger factor (rows) and of the smaller (columns).

    Parameters
    ----------
    rows, columns : (C,) int64
        Level of each cell.
    slot : (C,) int64
        Index of the distinct (row, column) combination of each cell; slots are sorted by row, then column.
    slot_rows : (S,) int64
    slot_columns : (S,) int32
    n_rows, n_columns : int
    indptr : (n_rows + 1,) int32
        Row pointer of the slots, as in a CSR matrix.
    """

    rows: np.ndarray
    columns: np.ndarray
    slot: np.ndarray
    slot_rows: np.ndarray
    slot_columns: np.ndarray
    n_rows: int
    n_columns: int
    indptr: np.ndarray

    def row_sums(self, values: np.ndarray) -> np.ndarray:
        """Return Z_row' values, (n_rows,)."""
        return np.bincount(self.rows, weights=values, minlength=self.n_rows)

    def column_sums(self, values: np.ndarray) -> np.ndarray:
        """Return Z_column' values, (n_columns,)."""
        return np.bincount(self.columns, weights=values, minlength=self.n_columns)


def cross_table(rows: np.ndarray, columns: np.ndarray, n_rows: int, n_columns: int) -> CrossTable:
    """Build the table of cells; levels are 0..n-1 without gaps, ``n_rows >= n_columns``."""
    # Row by row: the order in which compressed sparse rows hold their entries.
    keys, slot = np.unique(rows * n_columns + columns, return_inverse=True)
    slot_rows = keys // n_columns
    counts = np.bincount(slot_rows, minlength=n_rows)
    return CrossTable(
        rows=rows,
        columns=columns,
        slot=slot,
        slot_rows=slot_rows,
        # 32 bits, as compressed sparse rows have them: wider ones would be copied for every factor.
        slot_columns=(keys % n_columns).astype(np.int32),
        n_rows=n_rows,
        n_columns=n_columns,
        indptr=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
    )


@dataclass(frozen=True, kw_only=True)
class CrossedInverse:
    """The entries of H^-1 that a Laplace or REML gradient needs: both diagonals and the filled cells."""

    row: np.ndarray
    column: np.ndarray
    slot: np.ndarray


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
    counts = np.bincount(table.slot, minlength=len(table.slot_rows)).astype(np.float64)
    shape = (table.n_rows, table.n_columns)
    cells = sparse.csr_array((counts, table.slot_columns, table.indptr), shape=shape)
    grams = np.stack([_gram(cells[np.flatnonzero(group == which)]) for which in range(len(loads))])
    return LoadGrams(loads=loads, rows=np.bincount(group).astype(np.float64), grams=grams)


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
        self.slot_weight = np.bincount(table.slot, weights=weight, minlength=len(table.slot_rows))
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
            product = _gram(self._cells.multiply(1.0 / np.sqrt(self.row_diagonal)[:, None]).tocsr())
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
        slot = np.empty(len(table.slot_rows))
        row = np.empty(table.n_rows)
        for start in range(0, table.n_rows, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, table.n_rows)
            filled = slice(table.indptr[start], table.indptr[stop])
            cells = self._cells[start:stop]
            product = (cells.toarray() if _is_dense(cells) else cells) @ inner
            local = table.slot_rows[filled] - start
            at_slots = product[local, table.slot_columns[filled]]
            # Woodbury's identity, of which only the entries at filled cells are ever asked for.
            leverage = np.bincount(local, weights=at_slots * self._cells.data[filled], minlength=stop - start)
            row[start:stop] = (1.0 + leverage / self.row_diagonal[start:stop]) / self.row_diagonal[start:stop]
            slot[filled] = -at_slots / self.row_diagonal[table.slot_rows[filled]]
        return CrossedInverse(row=row, column=np.diagonal(inner).copy(), slot=slot)

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


def _is_dense(cells: sparse.csr_array) -> bool:
    return cells.nnz > _DENSE_ABOVE * cells.shape[0] * cells.shape[1]


def _gram(matrix: sparse.csr_array) -> np.ndarray:
    """Return matrix' matrix as a dense array, by BLAS in blocks of rows where the table is well filled."""
    if not _is_dense(matrix):
        return np.asarray((matrix.T.tocsr() @ matrix).toarray())
    total = np.zeros((matrix.shape[1], matrix.shape[1]))
    for start in range(0, matrix.shape[0], _BLOCK_ROWS):
        block = matrix[start : start + _BLOCK_ROWS].toarray()
        total += block.T @ block
    return total


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
