"""Blocks of JSON Lines parsed by pyarrow: whatever it might read otherwise than Python does is left to Python."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.json

from analysis.votes.checks import NUMBER_COLUMNS, READ_COLUMNS
from analysis.votes.coded import Coded
from analysis.votes.files.arrow_cells import cell_columns
from analysis.votes.files.arrow_texts import arrow_column, arrow_numbers, empty_column

__all__ = ["JsonBlock", "json_block"]

_LF, _CR, _OPEN, _CLOSE = b"\n\r{}"
# Deep nesting would exhaust the stack of Arrow's parser; votes have none.
_MOST_BRACKETS = 1000


@dataclass(frozen=True)
class JsonBlock:
    """A block of JSON Lines, parsed.

    Parameters
    ----------
    names : frozenset of str
        Columns that any row names.
    first_names : frozenset of str
        Columns that the first row names.
    columns : dict of str to Coded
        Those of them that reading needs.
    lines : range or (N,) int64
        The 1-based line within the block of each row.
    line_count : int
        Lines in the block, blank ones included.
    """

    names: frozenset[str]
    first_names: frozenset[str]
    columns: dict[str, Coded]
    lines: range | np.ndarray
    line_count: int

    def column(self, name: str) -> Coded:
        """Return a column, empty where no row of the block names it."""
        return self.columns.get(name) or empty_column(len(self.lines))


def json_block(block: bytes) -> JsonBlock | None:
    """Parse whole lines of JSON.

    Returns
    -------
    JsonBlock or None
        None where anything about the block is not one plain object a line.
    """
    return _of_one_shape(block) or _of_any_shape(block)


def _of_one_shape(block: bytes) -> JsonBlock | None:
    found = cell_columns(block)
    if found is None:
        return None
    rows, columns = found
    names = frozenset(columns)
    read = {name: columns[name] for name in READ_COLUMNS if name in columns}
    return JsonBlock(names, names, read, range(1, rows + 1), rows)


def _of_any_shape(block: bytes) -> JsonBlock | None:
    lines = _lines(block)
    if lines is None:
        return None
    try:
        block.decode()
        first = json.loads(block[: block.find(b"\n") + 1 or None])
        # Arrow takes texts like a date for times unless it is told.
        texts = pa.schema([(name, pa.string()) for name, value in first.items() if type(value) is str])
        table = pyarrow.json.read_json(
            pa.BufferReader(block),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=texts),
        )
        if table.num_rows != len(lines):
            return None
        parsed = {
            name: _column(name, table.column(name).combine_chunks())
            for name in READ_COLUMNS
            if name in first or name in table.column_names
        }
    except (ValueError, RecursionError, pa.ArrowException):
        return None
    columns = {name: column for name, column in parsed.items() if column is not None}
    if len(columns) < len(parsed):
        return None
    line_count = block.count(b"\n") + (not block.endswith(b"\n"))
    return JsonBlock(frozenset(table.column_names), frozenset(first), columns, lines, line_count)


def _lines(block: bytes) -> range | np.ndarray | None:
    """Return the lines that hold an object, or None where a line is anything else but empty."""
    if block.count(b"[") + block.count(b"{") > block.count(b"\n") + _MOST_BRACKETS:
        return None
    data = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(data == _LF)
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    last = np.where((ends > starts) & (data[ends - 1] == _CR), ends - 1, ends)
    given = np.flatnonzero(last > starts)
    # A line that begins and ends with a brace holds no part of an object begun elsewhere.
    if not len(given) or given[0] or (data[starts[given]] != _OPEN).any() or (data[last[given] - 1] != _CLOSE).any():
        return None
    return range(1, len(ends) + 1) if len(given) == len(ends) else given + 1


def _column(name: str, values: pa.Array) -> Coded | None:
    if pa.types.is_null(values.type):
        return empty_column(len(values))
    if pa.types.is_floating(values.type):
        # A message about a number quotes it as the file has it, which Arrow no longer knows.
        is_plain = name in NUMBER_COLUMNS and arrow_numbers(values).are_plain()
        return arrow_column(name, values) if is_plain else None
    is_text = pa.types.is_string(values.type) or pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
    return arrow_column(name, values) if is_text else None
