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

from analysis.sheets.faults import BadTableError, Faults

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


class _BadCell(ValueError):
    """A cell that holds something else than it shows; the arguments are its kind and the reason."""


def workbook_rows(content: bytes, faults: Faults) -> list[Row]:
    """Return row number and cells of every row that is not blank, on the one sheet that has cells.

    Parameters
    ----------
    content : bytes
        A file that begins as a zip does.
    faults : Faults
        Names the file.

    Raises
    ------
    BadTableError
        Naming the rows and the remedy: several sheets with cells, a formula's error, a number that Excel rounded.
    """
    _refuse_other_zips(content, faults)
    try:
        import openpyxl
    except ImportError:
        raise faults.whole(_EXTRA) from None
    try:
        with warnings.catch_warnings():
            # Of styles and filters that it leaves out: no cell is lost by them.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            sheets = {sheet.title: list(_rows(sheet, faults)) for sheet in book.worksheets}
    except BadTableError:
        raise
    except _DAMAGE as error:
        said = f"the workbook is damaged ({type(error).__name__}); save it anew, or as CSV UTF-8"
        raise faults.whole(said) from None
    filled = {title: rows for title, rows in sheets.items() if rows}
    if len(filled) > 1:
        said = f"the workbook has cells on {len(filled)} sheets ({', '.join(filled)}); keep one in the file"
        raise faults.whole(said)
    faults.refuse()
    return _even(next(iter(filled.values()), []), faults)


def _refuse_other_zips(content: bytes, faults: Faults) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise faults.whole("the file is a damaged zip or workbook; save it anew, or as CSV UTF-8") from None
    for name, said in _OTHER_ZIPS.items():
        if name in entries:
            raise faults.whole(f"the file {said}")
    if "[Content_Types].xml" not in entries:
        raise faults.whole("the file is a zip, not a workbook; unpack it first")
    if sum(entries.values()) > _MOST_UNPACKED_BYTES:
        size = sum(entries.values()) / 1024**2
        raise faults.whole(f"the workbook is {size:,.0f} MB unpacked; save the sheet as CSV UTF-8")


def _rows(sheet: Any, faults: Faults) -> Iterator[Row]:
    # What the file says of its own extent may be wrong either way.
    sheet.reset_dimensions()
    count = 0
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        count += len(cells)
        if count > _MOST_CELLS:
            raise faults.whole(f"sheet {sheet.title} has more than {_MOST_CELLS:,} cells; save it as CSV UTF-8")
        texts = [_checked(cell, number, faults) for cell in cells]
        if any(text.strip() for text in texts):
            yield number, texts


def _checked(cell: Any, row: int, faults: Faults) -> str:
    try:
        return _text(cell)
    except _BadCell as error:
        kind, reason = error.args
        faults.add(row, "", f"cell {cell.coordinate}: {reason}", kind=kind)
        return str(cell.value)


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "e":
        raise _BadCell("formula", f"the formula gives {value}; correct it or clear the cell")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        if abs(value) >= _FIRST_ROUNDED:
            said = f"Excel rounds {value}, as all numbers above 15 digits; format the column as text"
            raise _BadCell("rounded", said)
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


def _even(rows: Iterable[Row], faults: Faults) -> list[Row]:
    """Return the rows without the columns that are empty at either side, all of one length."""
    rows = list(rows)
    used = [place for _, cells in rows for place, cell in enumerate(cells) if cell.strip()]
    first, end = min(used, default=0), max(used, default=-1) + 1
    if len(rows) * (end - first) > _MOST_CELLS:
        raise faults.whole(f"the sheet has {len(rows):,} rows of {end - first:,} columns; save it as CSV UTF-8")
    return [(number, [*cells, *[""] * (end - len(cells))][first:end]) for number, cells in rows]
