"""CSV of votes: blocks that are plain go to pyarrow where it is installed, all others to Python's own reader."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.votes.checks import READ_COLUMNS
from analysis.votes.coded import Coded, Texts, coded
from analysis.votes.errors import unreadable
from analysis.votes.files.blocks import Blocks, TextLines
from analysis.votes.files.progress import BLOCK_ROWS, Progress, is_fast, started
from analysis.votes.lines import shifted
from analysis.votes.parsing import Gatherer

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

    from analysis.votes.files.arrow_csv import CsvBlock

__all__ = ["read_csv"]

_BOM = b"\xef\xbb\xbf"
_DIFFERS = ("trial",)


def read_csv(path: Path, gatherer: Gatherer) -> Progress:
    """Gather a CSV file: UTF-8 with or without byte-order mark, LF or CRLF, fields quoted or not.

    Raises
    ------
    BadVotesError
        If the file has no header that names the required columns.
    """
    with path.open("rb") as file:
        blocks = Blocks(file)
        first = blocks.take()
        lines = TextLines(first.removeprefix(_BOM), blocks)
        reader = csv.reader(lines, strict=True)
        try:
            line, header = next(_records(reader))
        except StopIteration:
            raise unreadable(path.name, 1, "the file is empty; it needs a header") from None
        if isinstance(header, str):
            raise unreadable(path.name, line, header)
        names = [name.strip() for name in header]
        reading = _Reading(started(gatherer, line, names, first[:200]), names, reader.line_num)
        if is_fast(path.stat().st_size):
            blocks.give_back(lines.rest())
            _read_blocks(reading, blocks)
        else:
            reading.slowly(lines)
        return reading.progress


def _read_blocks(reading: _Reading, blocks: Blocks) -> None:
    """Gather block after block; while one is gathered, the next one is parsed on another core."""
    from analysis.votes.files.arrow_csv import csv_block

    with ThreadPoolExecutor(max_workers=1) as parser:

        def next_block() -> tuple[bytes, Future[CsvBlock | None]]:
            block = blocks.take()
            return block, parser.submit(csv_block, block, len(reading.names), reading.places)

        block, parsed = next_block()
        while block:
            after, parsed_after = next_block()
            found = parsed.result()
            if found is None:
                # A record may go on in the block after; what is then left of that one is parsed anew.
                blocks.give_back(after)
                blocks.give_back(reading.slowly(TextLines(block, blocks), is_one_block=True))
                after, parsed_after = next_block()
            else:
                reading.add(found)
            block, parsed = after, parsed_after


class _Reading:
    """The gathering of one file's rows, by whichever way each block comes.

    Parameters
    ----------
    progress : Progress
        Takes the rows.
    names : list of str
        The header.
    line : int
        Lines before the first row.
    """

    def __init__(self, progress: Progress, names: list[str], line: int) -> None:
        self.progress, self.names, self.line = progress, names, line
        self.places = {name: names.index(name) for name in READ_COLUMNS if name in names}

    def add(self, found: CsvBlock) -> None:
        """Gather a block that pyarrow has parsed."""
        for place, width in found.misfits:
            self._misfit(self.line + place, width)
        self.progress.rows += len(found.lines) + len(found.misfits)
        self.progress.gatherer.add(found.columns, shifted(found.lines, self.line))
        self.line += found.line_count

    def slowly(self, lines: TextLines, *, is_one_block: bool = False) -> bytes:
        """Gather by Python's reader to the end, or to the end of the first record that ends after one block.

        Returns
        -------
        bytes
            What was taken from the file and not read.
        """
        reader = csv.reader(lines, strict=True)
        rows: list[list[str]] = []
        places: list[int] = []
        for line, record in _records(reader):
            self.progress.rows += 1
            if isinstance(record, str):
                self.progress.gatherer.faults.add(self.line + line, "", record, kind="csv")
            elif len(record) != len(self.names):
                self._misfit(self.line + line, len(record))
            else:
                rows.append(record)
                places.append(self.line + line)
            if len(rows) == BLOCK_ROWS:
                self._add_rows(rows, places)
            if is_one_block and lines.is_past_block:
                break
        self._add_rows(rows, places)
        self.line += reader.line_num
        return lines.rest()

    def _misfit(self, line: int, width: int) -> None:
        reason = f"has {width} fields; the header has {len(self.names)}"
        self.progress.gatherer.faults.add(line, "", reason, kind="width")

    def _add_rows(self, rows: list[list[str]], lines: list[int]) -> None:
        if rows:
            columns = list(zip(*rows, strict=True))
            self.progress.gatherer.add({name: _column(name, columns[at]) for name, at in self.places.items()}, lines[:])
        rows.clear()
        lines.clear()


def _column(name: str, texts: tuple[str, ...]) -> Coded:
    return Coded(Texts(texts)) if name in _DIFFERS else coded(texts)


def _records(reader: CsvReader) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the line on which each record begins with its fields, or with what is wrong with it."""
    while True:
        before = reader.line_num
        try:
            for record in reader:
                if record:
                    yield before + 1, record
                before = reader.line_num
            return
        except csv.Error as error:
            yield before + 1, f"is not CSV: {error}; look for a quote that is not closed"
