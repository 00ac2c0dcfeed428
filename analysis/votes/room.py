"""Columns of which every row holds one value take the room of one: most optional columns of most files do."""

from __future__ import annotations

import numpy as np

__all__ = ["constant", "is_constant", "kept", "looked_up", "together"]


def constant(value: object, count: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(value), (count,))


def is_constant(values: np.ndarray) -> bool:
    return values.strides == (0,)


def kept(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return np.broadcast_to(values[:1], (np.count_nonzero(keep),)) if is_constant(values) else values[keep]


def together(parts: list[np.ndarray]) -> np.ndarray:
    """Return blocks of a column as one array; what is one value throughout stays one value."""
    parts = [part for part in parts if len(part)] or parts[:1]
    if all(map(is_constant, parts)):
        values = np.array([part[0] for part in parts if len(part)], dtype=np.result_type(*parts))
        if len(values) and np.array_equal(values, np.broadcast_to(values[0], values.shape), equal_nan=True):
            return np.broadcast_to(values[:1], (sum(map(len, parts)),))
    return np.concatenate(parts)


def looked_up(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    if is_constant(codes) and len(codes):
        return np.broadcast_to(values[codes[:1]], codes.shape)
    return values[codes]
