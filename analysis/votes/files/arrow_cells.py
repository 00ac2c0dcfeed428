"""JSON Lines of one shape, where every row names the same columns in the same order: commas split them as they do CSV.

Arrow splits such a block several times faster than it parses JSON. A cell is ``"name":value``; every distinct one is
given to Python's parser, but for those of columns that differ from row to row, whose bytes are checked all at once.
"""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from analysis.votes.checks import NUMBER_COLUMNS, VARIED_COLUMNS
from analysis.votes.coded import Coded, Texts, as_text
from analysis.votes.files.arrow_buffers import byte_offsets, mask_array, numbers_of, spread_texts, text_bytes, truths
from analysis.votes.files.arrow_texts import CODED, Numbers, arrow_column, empty_column

__all__ = ["cell_columns"]

_NULL = "null"
_ZERO, _NINE, _POINT, _SPACE, _QUOTE, _BACKSLASH = b'09. "\\'
# Lines looked at to guess which columns hold one value throughout.
_SAMPLES = 8
_DECODER = json.JSONDecoder(object_pairs_hook=list)


def cell_columns(block: bytes) -> tuple[int, dict[str, Coded]] | None:
    """Parse whole lines of JSON that all name the same columns.

    Returns
    -------
    rows : int
        As many as there are lines.
    columns : dict of str to Coded
        All that the rows name, in their order.

    None where a row has another shape, or is not as plain as it looks.
    """
    first = block[: block.find(b"\n") + 1 or None].decode(errors="replace")
    try:
        names = [name for name, _ in _DECODER.decode(first)]
        if len(set(names)) < len(names) or first.count(",") != len(names) - 1:
            return None
        table = _split(block, names)
        if table is None:
            return None
        cells = {name: table.column(name).combine_chunks() for name in names}
        cells[names[0]] = _within("{", cells[names[0]], "")
        cells[names[-1]] = _within("", cells[names[-1]], "}")
        return table.num_rows, {name: _column(name, found) for name, found in cells.items()}
    except (ValueError, TypeError, RecursionError, pa.ArrowException):
        return None


def _split(block: bytes, names: list[str]) -> pa.Table | None:
    """Return the block as a table of cells; None where a line is not a row."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return None
    table = pyarrow.csv.read_csv(
        pa.BufferReader(block),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
        parse_options=pyarrow.csv.ParseOptions(quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=_types(block, names), strings_can_be_null=False, null_values=[]
        ),
    )
    # Arrow leaves out empty lines, and nothing else.
    return table if table.num_rows == block.count(b"\n") + (not block.endswith(b"\n")) else None


def _types(block: bytes, names: list[str]) -> dict[str, pa.DataType]:
    """Return how to read each column: coded where that gains something, plain where it seems to hold one value."""
    rows = []
    for place in range(0, len(block), len(block) // _SAMPLES + 1):
        begin = block.find(b"\n", place) + 1
        rows.append(block[begin : block.find(b"\n", begin)].split(b","))
    seen = [set(cells) for cells in zip(*rows, strict=False)]
    is_coded = {name: len(cells) > 1 and name not in VARIED_COLUMNS for name, cells in zip(names, seen, strict=False)}
    return {name: CODED if is_coded.get(name) else pa.string() for name in names}


def _within(before: str, cells: pa.Array, behind: str) -> pa.Array:
    """Return the texts without what each of them begins and ends with.

    Raises
    ------
    ValueError
        If one does not.
    """
    if pa.types.is_dictionary(cells.type):
        return pa.DictionaryArray.from_arrays(cells.indices, _within(before, cells.dictionary, behind))
    lengths = np.diff(byte_offsets(cells))
    is_framed = pc.and_(pc.starts_with(cells, before), pc.ends_with(cells, behind))
    if (lengths < len(before) + len(behind)).any() or pc.all(is_framed).as_py() is False:
        raise ValueError(f"not every text stands between {before!r} and {behind!r}")
    # An end must be named: without one pyarrow 26 overflows on an even number of texts.
    end = -len(behind) or int(lengths.max(initial=1))
    bare = pc.binary_slice(cells.cast(pa.binary()), len(before), end)
    return bare.cast(pa.string())


def _column(name: str, cells: pa.Array) -> Coded:
    if not pa.types.is_dictionary(cells.type):
        if _is_constant(cells):
            return Coded(Texts([_text(name, cells[0].as_py())]), np.broadcast_to(np.int32(0), (len(cells),)))
        if name in VARIED_COLUMNS:
            return _varied(name, cells)
        cells = cells.dictionary_encode()
    texts = [_text(name, cell) for cell in cells.dictionary.to_pylist()]
    return Coded(Texts(texts), numbers_of(cells.indices, "int32"))


def _is_constant(cells: pa.StringArray) -> bool:
    lengths, data = np.diff(byte_offsets(cells)), text_bytes(cells)
    return bool((lengths == lengths[0]).all() and (data[lengths[0] :] == data[: -lengths[0] or None]).all())


def _text(name: str, cell: str) -> str:
    """Return the text of the value of one cell.

    Raises
    ------
    ValueError
        If the cell is anything but a column of this name with a value that is no list and no object.
    """
    row = f"{{{cell}}}"
    ((key, value),), end = _DECODER.raw_decode(row)
    if end < len(row) or key != name or isinstance(value, list):
        raise ValueError(f"{cell!r} is not a value of {name}")
    return as_text(value)


def _varied(name: str, cells: pa.StringArray) -> Coded:
    try:
        values = _within(_key(name, cells[0].as_py()), cells, "")
        return _numbers(values) if name in NUMBER_COLUMNS else _quoted(name, values)
    except (ValueError, pa.ArrowException):
        return Coded(Texts([_text(name, cell) for cell in cells.to_pylist()]))


def _key(name: str, cell: str) -> str:
    """Return what stands before the value in a cell."""
    found = re.match(rf'[ \t]*"{re.escape(name)}"[ \t]*:[ \t]*', cell)
    if found is None:
        raise ValueError(f"{cell!r} does not begin with {name} as it is usually written")
    return found[0]


def _quoted(name: str, values: pa.StringArray) -> Coded:
    given = ~_are_null(values)
    texts = _within('"', _those(values, given), '"')
    data = text_bytes(texts)
    # Without these a JSON text is what it spells.
    if np.isin(data, (_QUOTE, _BACKSLASH)).any() or (data < _SPACE).any():
        raise ValueError(f"{name} has texts with escapes")
    return arrow_column(name, texts if given.all() else spread_texts(texts, given))


def _numbers(values: pa.StringArray) -> Coded:
    """Return numbers of at least 1; Arrow takes more for a number than JSON does, and says other words of the rest."""
    given = ~_are_null(values)
    if not given.any():
        return empty_column(len(values))
    texts = _those(values, given)
    data, offsets = text_bytes(texts), byte_offsets(texts) - byte_offsets(texts)[0]
    if not np.diff(offsets).all() or (data <= _SPACE).any():
        raise ValueError("a number is missing, or stands between spaces")
    begins, points = data[offsets[:-1]], np.flatnonzero(data == _POINT)
    has_leading_digit = ((begins > _ZERO) & (begins <= _NINE)).all()
    # The byte behind the last point of a text may be another text's.
    behind = np.append(data, _POINT)[points + 1]
    has_digits = ((behind >= _ZERO) & (behind <= _NINE)).all() and not np.isin(points + 1, offsets).any()
    found = np.full(len(values), math.nan)
    found[given] = numbers_of(texts.cast(pa.float64()), "float64")
    numbers = Numbers(found, given)
    if not (has_leading_digit and has_digits and numbers.are_plain()):
        raise ValueError("a number is not written as JSON has it, or is below 1")
    return Coded(numbers)


def _are_null(values: pa.StringArray) -> np.ndarray:
    return (np.diff(byte_offsets(values)) == len(_NULL)) & truths(pc.starts_with(values, _NULL))


def _those(values: pa.StringArray, rows: np.ndarray) -> pa.StringArray:
    return values if rows.all() else values.filter(mask_array(rows))
