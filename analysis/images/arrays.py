"""The one place that decides whether an array is a usable set of image features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["as_feature_rows", "row_blocks"]

# Large enough for BLAS to run at full speed, small beside the features themselves.
_BLOCK_BYTES = 64 * 2**20


def as_feature_rows(features: np.ndarray, *, name: str = "features", minimum: int = 1) -> np.ndarray:
    """Return the features as a two-dimensional array, unchanged (a memory map stays on disk).

    Parameters
    ----------
    features : array (n, d), floating
        One row per image.
    name : str
        Name of the argument for the error message.
    minimum : int
        Fewest rows that make sense to the caller.

    Raises
    ------
    ValueError
        If it is not two-dimensional, has no columns, or has fewer than ``minimum`` rows.
    TypeError
        If the numbers are not real floating-point numbers.
    """
    rows = features if isinstance(features, np.ndarray) else np.asarray(features)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"{name} has shape {rows.shape}; expected (images, features), at least one feature")
    if not np.issubdtype(rows.dtype, np.floating):
        raise TypeError(f"{name} has dtype {rows.dtype}; expected float16, float32 or float64")
    if rows.shape[0] < minimum:
        raise ValueError(f"{name} has {rows.shape[0]} images; at least {minimum} are needed")
    return rows


def row_blocks(rows: np.ndarray, *, name: str = "features") -> Iterator[np.ndarray]:
    """Yield float64 copies of consecutive row blocks, each at most 64 MiB, so a memory map is never read whole.

    Raises
    ------
    ValueError
        If a feature is NaN or infinite, naming the first such image.
    """
    size = max(1, _BLOCK_BYTES // (8 * rows.shape[1]))
    for start in range(0, rows.shape[0], size):
        block = np.array(rows[start : start + size], dtype=np.float64)  # a copy: callers centre it in place
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise ValueError(f"{name}: image {start + int(np.argmin(finite))} has a NaN or infinite feature")
        yield block
