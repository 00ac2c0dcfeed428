"""Columns of votes as Arrow arrays: the rules of ``coded.py``, kept without a Python string a row.

pyarrow is imported with this module, so nothing imports it before a file needs it.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.votes.checks import NUMBER_COLUMNS, TIME_COLUMNS, VARIED_COLUMNS
from analysis.votes.coded import EARLIEST, LATEST, UTC_TIME, Coded, Texts, Values, as_text, fingerprints
from analysis.votes.files.arrow_buffers import (
    blank_texts,
    byte_offsets,
    given_rows,
    mask_array,
    numbers_of,
    text_bytes,
)

__all__ = ["CODED", "ArrowTexts", "Numbers", "arrow_column", "arrow_numbers", "empty_column"]

CODED = pa.dictionary(pa.int32(), pa.string())
_T, _Z, _T_PLACE = ord("T"), ord("Z"), len("0000-00-00")


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
        return np.diff(byte_offsets(self._texts)) > 0

    def numbers(self) -> np.ndarray:
        given = self.given()
        found = np.full(len(self), math.nan)
        try:
            found[given] = numbers_of(self._those(given).cast(pa.float64()), "float64")
        except pa.ArrowInvalid:
            return Texts(self.labels()).numbers()
        return found

    def instants(self) -> np.ndarray:
        given = self.given()
        texts = self._those(given)
        found = np.full(len(self), np.datetime64("NaT", "ms"))
        if self._end_in_z(given) or pc.all(pc.match_substring_regex(texts, f"^{UTC_TIME}$")).as_py() is not False:
            try:
                found[given] = numbers_of(texts.cast(pa.timestamp("ms", "UTC")), "datetime64[ms]")
            except pa.ArrowInvalid:
                return Texts(self.labels()).instants()
            if not (found < EARLIEST).any():
                return found
        return Texts(self.labels()).instants()

    def _end_in_z(self, given: np.ndarray) -> bool:
        """Whether Arrow takes these texts for times only if they have the contract's form; cheaper than that form."""
        data, offsets = text_bytes(self._texts), byte_offsets(self._texts)
        starts, ends = (places[given] - offsets[0] for places in (offsets[:-1], offsets[1:]))
        # Arrow knows no other form of this length with a T here: shorter, longer, and with other zones.
        has_length = np.isin(ends - starts, [len("0000-00-00T00:00:00Z"), len("0000-00-00T00:00:00.000Z")]).all()
        return bool(has_length and (data[starts + _T_PLACE] == _T).all() and (data[ends - 1] == _Z).all())

    def fingerprints(self) -> tuple[np.ndarray, np.ndarray]:
        offsets = byte_offsets(self._texts).astype(np.int64)
        return fingerprints(text_bytes(self._texts), offsets[:-1] - offsets[0], np.diff(offsets))

    def _those(self, rows: np.ndarray) -> pa.StringArray:
        return self._texts if rows.all() else self._texts.filter(mask_array(rows))


class Numbers(Values):
    """Numbers that were never texts; what is missing is the empty text.

    Parameters
    ----------
    values : (N,) float64 or int
        Named in messages as Python writes them.
    given : (N,) bool
        Where there is one.
    """

    def __init__(self, values: np.ndarray, given: np.ndarray) -> None:
        self._values, self._given = values, given

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, place: int) -> str:
        return str(self._values[place].item()) if self._given[place] else ""

    def given(self) -> np.ndarray:
        return self._given

    def numbers(self) -> np.ndarray:
        values = self._values.astype(np.float64)
        return values if self._given.all() else np.where(self._given, values, math.nan)

    def are_plain(self) -> bool:
        """Whether none is a number that a message would quote, and perhaps not as the file wrote it."""
        found = self.numbers()[self._given]
        return bool(np.isfinite(found).all() and (found >= 1).all())


class _Instants(Values):
    """Instants that were never texts; what is null is the empty text."""

    def __init__(self, values: np.ndarray, given: np.ndarray) -> None:
        self._values, self._given = np.where(given, values, np.datetime64("NaT", "ms")), given

    def __len__(self) -> int:
        return len(self._values)

    def given(self) -> np.ndarray:
        return self._given

    def instants(self) -> np.ndarray:
        return self._values

    def are_of_this_calendar(self) -> bool:
        """Whether Python's calendar has them all, as its reader of texts asks for."""
        return not ((self._values < EARLIEST) | (self._values > LATEST)).any()


def arrow_column(name: str, values: pa.Array) -> Coded:
    """Return an Arrow column as texts, dictionary-encoded where that gains something; nulls are empty texts.

    Raises
    ------
    pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError
        If the type has no text form.
    """
    if values.null_count == len(values):
        return empty_column(len(values))
    if name in NUMBER_COLUMNS and (pa.types.is_float64(values.type) or pa.types.is_integer(values.type)):
        return Coded(arrow_numbers(values))
    if pa.types.is_timestamp(values.type) and values.type.tz and name in TIME_COLUMNS:
        moments = values.cast(pa.timestamp("ms"), safe=False)
        instants = _Instants(numbers_of(moments, "datetime64[ms]"), given_rows(values))
        if instants.are_of_this_calendar():
            return Coded(instants)
    if name not in VARIED_COLUMNS and not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    if pa.types.is_dictionary(values.type) and name not in VARIED_COLUMNS:
        return _coded(values)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    texts = ArrowTexts(_as_texts(values))
    return Coded(texts) if texts.given().any() else empty_column(len(values))


def arrow_numbers(values: pa.Array) -> Numbers:
    """Return an array of floats or integers; null is the empty text."""
    kind = "float64" if pa.types.is_float64(values.type) else str(values.type)
    return Numbers(numbers_of(values, kind), given_rows(values))


def _coded(values: pa.DictionaryArray) -> Coded:
    codes, texts = values.indices, _as_texts(values.dictionary)
    places = numbers_of(codes, str(codes.type))
    if codes.null_count:
        places = np.where(given_rows(codes), places, np.int32(len(texts)))
        texts = pa.concat_arrays([texts, blank_texts(1)])
    return Coded(ArrowTexts(texts), places)


def _timestamp_texts(values: pa.TimestampArray) -> pa.StringArray:
    """Return timestamps as Python writes them, for columns and messages that take them as they stand."""
    try:
        moments = values.cast(pa.timestamp("us", values.type.tz), safe=False).to_pylist()
    except (ValueError, OverflowError):
        # Beyond Python's calendar; Arrow writes a zone as its name, and the instant stored is UTC in any case.
        zone = "Z" if values.type.tz else ""
        return pc.binary_join_element_wise(values.cast(pa.timestamp("ms"), safe=False).cast(pa.string()), zone, "")
    return pa.array([as_text(moment) for moment in moments], pa.string())


def empty_column(count: int) -> Coded:
    """Return a column of empty texts."""
    return Coded(Texts([""]), np.broadcast_to(np.int32(0), (count,)))


def _as_texts(values: pa.Array) -> pa.StringArray:
    if pa.types.is_timestamp(values.type):
        values = _timestamp_texts(values)
    elif pa.types.is_floating(values.type):
        # Arrow writes 7.0 as 7.
        values = pa.array([as_text(value) for value in values.to_pylist()], pa.string())
    elif not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    return pc.coalesce(values, blank_texts(len(values))) if values.null_count else values
