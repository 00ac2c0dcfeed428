"""Raters crossed with pairs as a sparse table, the larger of the two factors in its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["CrossTable", "cross_table"]


@dataclass(frozen=True, kw_only=True)
class CrossTable:
    """Which cell of the table belongs to which level of the larger factor (rows) and of the smaller (columns).

    Parameters
    ----------
    rows, columns : (C,) int64
        Level of each cell.
    slot : (C,) int64
        Index of the distinct (row, column) combination of each cell; slots are sorted by row, then column.
    slot_columns : (S,) int32
    n_rows, n_columns : int
    indptr : (n_rows + 1,) int32
        Row pointer of the slots, as in a CSR matrix.
    """

    rows: np.ndarray
    columns: np.ndarray
    slot: np.ndarray
    slot_columns: np.ndarray
    n_rows: int
    n_columns: int
    indptr: np.ndarray

    @property
    def slots(self) -> int:
        return len(self.slot_columns)

    def row_sums(self, values: np.ndarray) -> np.ndarray:
        """Return Z_row' values, (n_rows,)."""
        return np.bincount(self.rows, weights=values, minlength=self.n_rows)

    def column_sums(self, values: np.ndarray) -> np.ndarray:
        """Return Z_column' values, (n_columns,)."""
        return np.bincount(self.columns, weights=values, minlength=self.n_columns)


def cross_table(rows: np.ndarray, columns: np.ndarray, n_rows: int, n_columns: int) -> CrossTable:
    """Build the table of cells; levels are 0..n-1 without gaps, ``n_rows >= n_columns``."""
    # Row by row: the order in which compressed sparse rows hold their entries.
    keys, slot = _ranked(rows * n_columns + columns)
    counts = np.bincount(keys // n_columns, minlength=n_rows)
    return CrossTable(
        rows=rows,
        columns=columns,
        slot=slot,
        # 32 bits, as compressed sparse rows have them: wider ones would be copied for every factor.
        slot_columns=(keys % n_columns).astype(np.int32),
        n_rows=n_rows,
        n_columns=n_columns,
        indptr=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
    )


def _ranked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys, ascending, and the place of each key among them."""
    changes = np.diff(keys, prepend=-1)
    if changes.min(initial=0) < 0:
        return np.unique(keys, return_inverse=True)
    # Cells added up by rater and pair come in this order: nothing is left to sort.
    is_new = changes > 0
    return keys[is_new], np.cumsum(is_new) - 1
