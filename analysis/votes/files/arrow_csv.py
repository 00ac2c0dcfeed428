"""Blocks of CSV split by pyarrow: whatever it might split otherwise than Python does is left to Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv

from analysis.votes.checks import VARIED_COLUMNS
from analysis.votes.coded import Coded
from analysis.votes.files.arrow_texts import CODED, arrow_column

__all__ = ["CsvBlock", "csv_block"]

# Python's reader takes no longer field.
_LONGEST_FIELD = 131_072
# Arrow takes one off every block; only the file's own is none of its text.
_BOM = b"\xef\xbb\xbf"
_COMMA, _LF, _CR, _QUOTE = b',\n\r"'


@dataclass(frozen=True)
class CsvBlock:
    """A block of CSV, parsed.

    Parameters
    ----------
    columns : dict of str to Coded
        The rows that have as many fields as the header.
    lines : range or (N,) int64
        The 1-based line within the block on which each row stands.
    misfits : list of (int, int)
        Line within the block and number of fields of every other row.
    line_count : int
        Lines in the block, blank ones included.
    """

    columns: dict[str, Coded]
    lines: range | np.ndarray
    misfits: list[tuple[int, int]]
    line_count: int


def csv_block(block: bytes, width: int, places: Mapping[str, int]) -> CsvBlock | None:
    """Parse whole lines of CSV.

    Parameters
    ----------
    block : bytes
        Whole lines.
    width : int
        Fields of the header.
    places : mapping of str to int
        The columns wanted, and where each stands in a row.

    Returns
    -------
    CsvBlock or None
        None where a record spans lines or anything about the block is not plain CSV in UTF-8.
    """
    if not _is_plain(block):
        return None
    misfits = 0

    def count(row: pyarrow.csv.InvalidRow) -> str:
        nonlocal misfits
        misfits += 1
        return "skip"

    types = {str(place): pa.string() if name in VARIED_COLUMNS else CODED for name, place in places.items()}
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(block),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(block) + 1, column_names=[str(place) for place in range(width)]
            ),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=count),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types, include_columns=list(types), strings_can_be_null=False, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    lines = _lines(block, table.num_rows, misfits, width)
    if lines is None:
        return None
    columns = {name: arrow_column(name, table.column(str(place)).combine_chunks()) for name, place in places.items()}
    return CsvBlock(columns, *lines)


def _is_plain(block: bytes) -> bool:
    """Whether both readers split this block alike: one record a line, quotes only around fields, no endless line."""
    if block.startswith(_BOM) or block.count(b"\r") != block.count(b"\r\n"):
        return False
    if not block.isascii() and not _is_utf8(block):
        return False
    begin = 0
    while len(block) - begin > _LONGEST_FIELD:
        begin = block.rfind(b"\n", begin, begin + _LONGEST_FIELD) + 1
        if not begin:
            return False
    return b'"' not in block or _quotes_are_plain(np.frombuffer(block, dtype=np.uint8))


def _is_utf8(block: bytes) -> bool:
    # Arrow checks the columns that are wanted alone, and cannot even report a row of too many fields that is not UTF-8.
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _quotes_are_plain(data: np.ndarray) -> bool:
    quotes = np.flatnonzero(data == _QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    # One quote in front stands for a line end before the block, one line end behind for the file's last one.
    framed = np.concatenate([[_LF], data, [_LF]]).astype(np.uint8)
    before, behind = framed[opening], framed[closing + 2]
    follows = np.concatenate([[False], opening[1:] == closing[:-1] + 1])
    is_doubled = np.concatenate([follows[1:], [False]])
    starts = np.isin(before, (_COMMA, _LF)) | follows
    ends = np.isin(behind, (_COMMA, _LF, _CR)) | is_doubled
    if not (starts.all() and ends.all()):
        return False
    newlines = np.flatnonzero(data == _LF)
    return not (np.searchsorted(quotes, newlines) % 2).any()


def _lines(
    block: bytes, rows: int, misfits: int, width: int
) -> tuple[range | np.ndarray, list[tuple[int, int]], int] | None:
    """Return the lines of the rows, the misfits and the number of lines; None where the counts do not agree."""
    line_count = block.count(b"\n") + (not block.endswith(b"\n"))
    if rows == line_count and not misfits:
        return range(1, rows + 1), [], line_count
    data = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(data == _LF)
    if len(ends) < line_count:
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    last = np.where((ends > starts) & (data[ends - 1] == _CR), ends - 1, ends)
    given = np.flatnonzero(last > starts)
    commas = np.flatnonzero(data == _COMMA)
    if b'"' in block:
        commas = commas[np.searchsorted(np.flatnonzero(data == _QUOTE), commas) % 2 == 0]
    widths = (np.searchsorted(commas, ends[given]) - np.searchsorted(commas, starts[given])) + 1
    fits = widths == width
    if np.count_nonzero(fits) != rows or np.count_nonzero(~fits) != misfits:
        return None
    wrong = [(int(line), int(size)) for line, size in zip(given[~fits] + 1, widths[~fits], strict=True)]
    return given[fits] + 1, wrong, line_count
