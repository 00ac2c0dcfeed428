"""Excel workbooks as rows of texts: one sheet, each cell as CSV would hold it, nothing guessed.

openpyxl streams the sheet row by row, so that a workbook that claims a million columns takes no memory for them.
"""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import Any

from analysis.votes.errors import SheetError

__all__ = ["is_zip", "workbook_rows"]

_EXTRA = "reading Excel workbooks needs openpyxl: pip install 'blindpair[report]', or save the sheet as CSV UTF-8"
_SAVE = "save the sheet as .xlsx or CSV UTF-8"
# What other zips are, by an entry that only they have.
_OTHER_ZIPS = {
    "content.xml": f"is an OpenDocument file; {_SAVE}",
    "xl/workbook.bin": f"is a binary Excel workbook; {_SAVE}",
    "Index/Document.iwa": f"is a Numbers document; {_SAVE}",
    "word/document.xml": "is a Word document; it needs a table as .xlsx or CSV UTF-8",
}
_MOST_UNPACKED_BYTES = 256 * 1024**2
_MOST_CELLS = 5_000_000
# Excel keeps 15 digits and writes zeros for the rest.
_FIRST_ROUNDED = 10**15
# What openpyxl and the parsers below it raise on files that no spreadsheet wrote.
_DAMAGE = (
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zlib.error,
)

Row = tuple[int, list[str]]


def is_zip(content: bytes) -> bool:
    """Return whether a file begins as zips and so as workbooks do."""
    return content.startswith(b"PK\x03\x04")


def workbook_rows(content: bytes) -> list[Row]:
    """Return row number and cells of every row that is not blank, on the one sheet that has cells.

    Parameters
    ----------
    content : bytes
        A file that begins as a zip does.

    Raises
    ------
    SheetError
        Naming sheet and row, and the remedy: several sheets with cells, a formula's error, a number that Excel rounded.
    """
    _refuse_other_zips(content)
    try:
        import openpyxl
    except ImportError:
        raise SheetError(_EXTRA) from None
    try:
        with warnings.catch_warnings():
            # Of styles and filters that it leaves out: no cell is lost by them.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            sheets = {sheet.title: list(_rows(sheet)) for sheet in book.worksheets}
    except SheetError:
        raise
    except _DAMAGE as error:
        raise SheetError(f"the workbook is damaged ({type(error).__name__}); save it anew, or as CSV UTF-8") from None
    filled = {title: rows for title, rows in sheets.items() if rows}
    if len(filled) > 1:
        raise SheetError(f"the workbook has cells on {len(filled)} sheets ({', '.join(filled)}); keep one in the file")
    return _even(next(iter(filled.values()), []))


def _refuse_other_zips(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise SheetError("the file is a damaged zip or workbook; save it anew, or as CSV UTF-8") from None
    for name, said in _OTHER_ZIPS.items():
        if name in entries:
            raise SheetError(f"the file {said}")
    if "[Content_Types].xml" not in entries:
        raise SheetError("the file is a zip, not a workbook; unpack it first")
    if sum(entries.values()) > _MOST_UNPACKED_BYTES:
        size = sum(entries.values()) / 1024**2
        raise SheetError(f"the workbook is {size:,.0f} MB unpacked; save the sheet as CSV UTF-8")


def _rows(sheet: Any) -> Iterator[Row]:
    # What the file says of its own extent may be wrong either way.
    sheet.reset_dimensions()
    count = 0
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        count += len(cells)
        if count > _MOST_CELLS:
            raise SheetError(f"sheet {sheet.title} has more than {_MOST_CELLS:,} cells; save it as CSV UTF-8")
        texts = [_text(cell, f"sheet {sheet.title}, row {number}") for cell in cells]
        if any(text.strip() for text in texts):
            yield number, texts


def _text(cell: Any, where: str) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "e":
        raise SheetError(f"{where}: the formula gives {value}; correct it or clear the cell")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        if abs(value) >= _FIRST_ROUNDED:
            raise SheetError(
                f"{where}: Excel rounds {value}, as all numbers above 15 digits; format the column as text"
            )
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


def _even(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without the columns that are empty at either side, all of one length."""
    rows = list(rows)
    used = [place for _, cells in rows for place, cell in enumerate(cells) if cell.strip()]
    first, end = min(used, default=0), max(used, default=-1) + 1
    if len(rows) * (end - first) > _MOST_CELLS:
        raise SheetError(f"the sheet has {len(rows):,} rows of {end - first:,} columns; save it as CSV UTF-8")
    return [(number, [*cells, *[""] * (end - len(cells))][first:end]) for number, cells in rows]
