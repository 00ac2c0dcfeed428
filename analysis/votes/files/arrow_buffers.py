"""Arrow arrays as numpy's and back, by their buffers.

Arrow's own conversions (``to_numpy``, ``pa.array``, ``pa.scalar``) import pandas wherever it is installed, which takes
longer than reading a hundred thousand votes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

__all__ = [
    "blank_texts",
    "byte_offsets",
    "given_rows",
    "mask_array",
    "numbers_of",
    "spread_texts",
    "text_bytes",
    "truths",
]


def given_rows(values: pa.Array) -> np.ndarray:
    """Return the mask of what is not null, (N,) bool."""
    bits = values.buffers()[0]
    if bits is None or not values.null_count:
        return np.ones(len(values), dtype=bool)
    return _unpacked(bits, values.offset, len(values))


def truths(values: pa.BooleanArray) -> np.ndarray:
    """Return an array without nulls, (N,) bool."""
    return _unpacked(values.buffers()[1], values.offset, len(values))


def numbers_of(values: pa.Array, dtype: str) -> np.ndarray:
    """Return what an array holds under numpy's name of its type, (N,); where it is null, anything."""
    return np.frombuffer(values.buffers()[1], dtype=dtype)[values.offset : values.offset + len(values)]


def mask_array(mask: np.ndarray) -> pa.BooleanArray:
    """Return a mask as an Arrow array."""
    bits = np.packbits(mask, bitorder="little")
    return pa.BooleanArray.from_buffers(pa.bool_(), len(mask), [None, pa.py_buffer(bits)])


def byte_offsets(texts: pa.StringArray) -> np.ndarray:
    """Return where each text begins and ends among the bytes of its array, (N + 1,) int32."""
    return np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]


def text_bytes(texts: pa.StringArray) -> np.ndarray:
    """Return the bytes of all texts, one after another, (B,) uint8."""
    data, offsets = texts.buffers()[2], byte_offsets(texts)
    return np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]] if data else np.zeros(0, dtype=np.uint8)


def blank_texts(count: int) -> pa.StringArray:
    """Return so many empty texts."""
    return pa.StringArray.from_buffers(count, pa.py_buffer(np.zeros(count + 1, dtype=np.int32)), pa.py_buffer(b""))


def spread_texts(texts: pa.StringArray, rows: np.ndarray) -> pa.StringArray:
    """Return the texts on the rows of a mask, in their order, and empty ones on all others."""
    lengths = np.zeros(len(rows) + 1, dtype=np.int32)
    lengths[1:][rows] = np.diff(byte_offsets(texts))
    offsets = np.cumsum(lengths, dtype=np.int32)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(text_bytes(texts)))


def _unpacked(bits: pa.Buffer, offset: int, count: int) -> np.ndarray:
    used = np.frombuffer(bits, dtype=np.uint8)[: (offset + count + 7) // 8]
    return np.unpackbits(used, bitorder="little")[offset : offset + count].astype(bool)
