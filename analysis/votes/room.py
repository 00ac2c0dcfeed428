"""Columns that grow by blocks; one that holds one value throughout, as most optional ones do, takes the room of one."""

from __future__ import annotations

import numpy as np

__all__ = ["GrowingColumn", "is_constant", "is_whole", "kept", "looked_up"]

# A store grows in place by so many rows or a sixteenth, so that little of it is ever unused.
_LEAST_GROWTH = 1 << 16


class GrowingColumn:
    """One column of all blocks so far.

    Parameters
    ----------
    blank : scalar
        What the rows hold that came before the column did.
    rows : int
        How many those are.
    """

    def __init__(self, blank: object, rows: int) -> None:
        self._value = np.asarray(blank).reshape(1)
        self._store: np.ndarray | None = None
        self._rows = rows

    def add(self, part: np.ndarray) -> None:
        """Append the rows of a block."""
        if not len(part):
            return
        if self._store is None:
            if not self._rows:
                self._value = part[:1].copy()
            if is_constant(part) and np.array_equal(part[:1], self._value, equal_nan=True):
                self._rows += len(part)
                return
            self._store = np.full(self._rows, self._value[0])
        self._store = _with_room(self._store, self._rows + len(part), np.promote_types(self._store.dtype, part.dtype))
        self._store[self._rows : self._rows + len(part)] = part
        self._rows += len(part)

    def add_blank(self, blank: object, rows: int) -> None:
        """Append rows that do not name the column."""
        self.add(np.broadcast_to(np.asarray(blank), (rows,)))

    def taken(self) -> np.ndarray:
        """Return the whole column."""
        if self._store is None:
            return np.broadcast_to(self._value, (self._rows,))
        self._store.resize(self._rows, refcheck=False)
        return self._store


def _with_room(store: np.ndarray, rows: int, dtype: np.dtype) -> np.ndarray:
    if dtype != store.dtype:
        store = store.astype(dtype)
    if rows > len(store):
        # Large stores are enlarged by moving pages, not bytes.
        store.resize(rows + max(_LEAST_GROWTH, rows // 16), refcheck=False)
    return store


def is_constant(values: np.ndarray) -> bool:
    """Whether the column takes the room of one value."""
    return values.strides == (0,) and len(values) > 0


def is_whole(keep: np.ndarray) -> bool:
    """Whether a mask keeps every row; an index array may stand in another order and is taken for less."""
    return keep.dtype == bool and bool(keep.all())


def kept(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Return the rows of a mask, or of an index array."""
    if not is_constant(values):
        return values[keep]
    return np.broadcast_to(values[:1], (int(np.count_nonzero(keep)) if keep.dtype == bool else len(keep),))


def looked_up(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the value of each row's code."""
    return np.broadcast_to(values[codes[:1]], codes.shape) if is_constant(codes) else values[codes]
