"""Columns of votes as Arrow arrays: the rules of ``coded.py``, kept without a Python string a row.

pyarrow is imported with this module, so nothing imports it before a file needs it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.votes.checks import NUMBER_COLUMNS, TIME_COLUMNS, VARIED_COLUMNS
from analysis.votes.coded import EARLIEST, LATEST, UTC_TIME, Coded, Texts, Values, fingerprints

__all__ = ["CODED", "ArrowTexts", "arrow_column", "empty_column"]

CODED = pa.dictionary(pa.int32(), pa.string())


class ArrowTexts(Values):
    """The texts of an Arrow array without nulls.

    Parameters
    ----------
    texts : pyarrow.StringArray
        UTF-8 texts, none of them null.
    """

    def __init__(self, texts: pa.StringArray) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, place: int) -> str:
        return self._texts[place].as_py()

    def labels(self) -> list[str]:
        return self._texts.to_pylist()

    def given(self) -> np.ndarray:
        return self._lengths() > 0

    def numbers(self) -> np.ndarray:
        try:
            values = self._with_nulls().cast(pa.float64())
        except pa.ArrowInvalid:
            return Texts(self.labels()).numbers()
        return values.to_numpy(zero_copy_only=False)

    def instants(self) -> np.ndarray:
        texts = self._with_nulls()
        if pc.all(pc.match_substring_regex(texts, f"^{UTC_TIME}$")).as_py() is not False:
            try:
                values = texts.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms"))
            except pa.ArrowInvalid:
                return Texts(self.labels()).instants()
            instants = values.to_numpy(zero_copy_only=False)
            if not (instants < EARLIEST).any():
                return instants
        return Texts(self.labels()).instants()

    def fingerprints(self) -> tuple[np.ndarray, np.ndarray]:
        offsets, data = self._offsets(), self._texts.buffers()[2]
        used = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]] if data else np.zeros(0, dtype=np.uint8)
        return fingerprints(used, offsets[:-1].astype(np.int64) - offsets[0], np.diff(offsets).astype(np.int64))

    def _offsets(self) -> np.ndarray:
        start = self._texts.offset
        return np.frombuffer(self._texts.buffers()[1], dtype=np.int32)[start : start + len(self) + 1]

    def _lengths(self) -> np.ndarray:
        return np.diff(self._offsets())

    def _with_nulls(self) -> pa.StringArray:
        given = self.given()
        return self._texts if given.all() else pc.if_else(pa.array(given), self._texts, None)


class _Floats(Values):
    """Numbers that were never texts; what is null is the empty text."""

    def __init__(self, values: pa.DoubleArray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> str:
        value = self._values[place].as_py()
        return "" if value is None else str(value)

    def given(self) -> np.ndarray:
        return self._values.is_valid().to_numpy(zero_copy_only=False)

    def numbers(self) -> np.ndarray:
        return self._values.to_numpy(zero_copy_only=False)


class _Instants(Values):
    """Instants that were never texts; what is null is the empty text."""

    def __init__(self, values: pa.TimestampArray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def given(self) -> np.ndarray:
        return self._values.is_valid().to_numpy(zero_copy_only=False)

    def instants(self) -> np.ndarray:
        return self._values.to_numpy(zero_copy_only=False)

    def are_of_this_calendar(self) -> bool:
        """Whether Python's calendar has them all, as its reader of texts asks for."""
        values = self.instants()
        return not ((values < EARLIEST) | (values > LATEST)).any()


def arrow_column(name: str, values: pa.Array) -> Coded:
    """Return an Arrow column as texts, dictionary-encoded where that gains something; nulls are empty texts.

    Raises
    ------
    pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError
        If the type has no text form.
    """
    if pa.types.is_float64(values.type) and name in NUMBER_COLUMNS:
        return Coded(_Floats(values)) if values.null_count < len(values) else empty_column(len(values))
    if pa.types.is_timestamp(values.type):
        if values.type.tz and name in TIME_COLUMNS and values.null_count < len(values):
            instants = _Instants(values.cast(pa.timestamp("ms"), safe=False))
            if instants.are_of_this_calendar():
                return Coded(instants)
        values = _timestamp_texts(values)
    if name not in VARIED_COLUMNS and not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if pa.types.is_dictionary(values.type) and name not in VARIED_COLUMNS:
        codes, texts = values.indices, _as_texts(values.dictionary)
        if codes.null_count:
            codes = codes.fill_null(len(texts))
            texts = pa.concat_arrays([texts, pa.array([""])])
        return Coded(ArrowTexts(texts), codes.to_numpy())
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    texts = ArrowTexts(_as_texts(values))
    return Coded(texts) if texts.given().any() else empty_column(len(values))


def _timestamp_texts(values: pa.TimestampArray) -> pa.StringArray:
    # Arrow writes a zone as its name; the reading knows offsets, and the stored instant is UTC in any case.
    zone = "Z" if values.type.tz else ""
    values = values.cast(pa.timestamp("ms"), safe=False).cast(pa.string())
    return pc.binary_join_element_wise(values, zone, "")


def empty_column(count: int) -> Coded:
    """Return a column of empty texts."""
    return Coded(Texts([""]), np.broadcast_to(np.int32(0), (count,)))


def _as_texts(values: pa.Array) -> pa.StringArray:
    values = values if pa.types.is_string(values.type) else values.cast(pa.string())
    return values.fill_null("") if values.null_count else values
