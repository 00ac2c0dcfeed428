"""Tables as spreadsheets and panels leave them: Excel workbooks; commas, semicolons or tabs; UTF-8 or UTF-16.

One machine for every small table that people bring: votes of other tools, panel lists, class names. It reads what can
be read in one way only and names the remedy for what cannot.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from analysis.sheets.faults import Faults
from analysis.sheets.workbook import is_zip, workbook_rows

__all__ = ["Sheet", "header_hint", "read_sheet", "sheet_rows"]

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# The first bytes of files that spreadsheets and browsers save under a name that ends in .csv.
_SIGNATURES = {
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook, or one with a password; save the sheet as .xlsx or CSV UTF-8",
    b"\x1f\x8b": "is compressed by gzip; unpack it first",
    b"%pdf": "is a PDF; export the table as CSV",
    b"<!doctype html": "is a web page; the download probably asked for a login",
    b"<html": "is a web page; the download probably asked for a login",
    b"version https://git-lfs": "is a git-lfs pointer, not the file: fetch it with `git lfs pull`",
}
# The line with which exports tell Excel what separates the columns.
_TOLD = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?(\r\n|\r|\n)', re.IGNORECASE)
_ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Sheet:
    """A table of texts.

    Parameters
    ----------
    names : list of str
        The header, without outer spaces.
    rows : list of (int, list of str)
        Line on which each row begins, and its cells.
    """

    names: list[str]
    rows: list[tuple[int, list[str]]]

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield line and cells by name, without outer spaces."""
        for line, cells in self.rows:
            yield line, dict(zip(self.names, map(str.strip, cells), strict=True))


def read_sheet(content: bytes, *, file: str, wanted: Iterable[str] = ()) -> Sheet:
    """Read a table with a header.

    Parameters
    ----------
    content : bytes
        The file: an Excel workbook (.xlsx), or text, whose encoding a byte-order mark decides, UTF-8 without one.
    file : str
        What messages call it.
    wanted : iterable of str
        Names that settle what separates the columns, where the header could be split in two ways.

    Raises
    ------
    BadTableError
        Naming the line, where there is one, and the remedy.
    """
    rows = sheet_rows(content, file=file, wanted=wanted)
    faults = Faults(file)
    if not rows:
        raise faults.whole("the file is empty; it needs a header")
    (head, names), *rows = rows
    names = [name.strip() for name in names]
    twice = sorted(name for name, count in Counter(names).items() if name and count > 1)
    if twice:
        said = f"the header names {', '.join(twice)} twice; give each column a name of its own"
        raise faults.whole(said, line=head)
    for line, cells in rows:
        if len(cells) != len(names):
            faults.add(line, "", f"has {len(cells)} fields; the header has {len(names)}", kind="width")
    faults.refuse()
    return Sheet(names, rows)


def sheet_rows(content: bytes, *, file: str, wanted: Iterable[str] = ()) -> list[tuple[int, list[str]]]:
    """Return line and cells of every row that is not blank, the header among them; as for :func:`read_sheet`."""
    faults = Faults(file)
    return workbook_rows(content, faults) if is_zip(content) else _text_rows(_decoded(content, faults), wanted, faults)


def _text_rows(text: str, wanted: Iterable[str], faults: Faults) -> list[tuple[int, list[str]]]:
    rows = []
    told = _TOLD.match(text)
    before, text = (1, text[told.end() :]) if told else (0, text)
    delimiter = told["delimiter"] if told else _delimiter(text, set(wanted))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    line = before + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise faults.whole(f"is not CSV: {error}; look for a quote that is not closed", line=line) from None
    return rows


def header_hint(head: bytes, names: list[str]) -> str:
    """Return what a file whose header lacks columns is, and the remedy; nothing where it looks like a plain table.

    Parameters
    ----------
    head : bytes
        How the file begins.
    names : list of str
        Its header, split at commas.
    """
    if is_zip(head):
        return "; the file is a workbook or another zip; `python -m analysis convert` reads Excel workbooks"
    for begin, said in _SIGNATURES.items():
        if head[:64].lower().lstrip().startswith(begin):
            return f"; the file {said}"
    # In the header alone: a cell below it may well hold a zero byte.
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in head[:200].partition(b"\n")[0]:
        return "; the file is UTF-16; save it as UTF-8, or let `python -m analysis convert` read it"
    whole = ",".join(names)
    for delimiter, called in _DELIMITERS.items():
        if delimiter != "," and whole.count(delimiter) > whole.count(","):
            return (
                f"; the columns are separated by {called}: separate the columns by commas, or let "
                "`python -m analysis convert` read the file"
            )
    return ""


def _decoded(content: bytes, faults: Faults) -> str:
    for begin, said in _SIGNATURES.items():
        if content[:64].lower().lstrip().startswith(begin):
            raise faults.whole(f"the file {said}")
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise faults.whole(f"is not {encoding.upper()} text; save the file as CSV UTF-8", line=line) from None
    if "\x00" in text:
        raise faults.whole("the file is UTF-16 without a byte-order mark, or no text; save it as CSV UTF-8")
    return text


def _delimiter(text: str, wanted: set[str]) -> str:
    """Return what splits the header into the most wanted names, then into the most columns; a comma where all agree."""
    line = next((line for line in text.splitlines() if line.strip()), "")

    def worth(delimiter: str) -> tuple[int, int]:
        try:
            names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            return 0, 0
        return len(wanted & set(names)), len(names)

    return max(_DELIMITERS, key=worth)
