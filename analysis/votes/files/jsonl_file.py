"""JSON Lines of votes, and rows that are mappings already: each names its own columns."""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.votes.checks import READ_COLUMNS
from analysis.votes.coded import Coded, Texts, as_text, coded
from analysis.votes.columns import REQUIRED
from analysis.votes.files.blocks import Blocks
from analysis.votes.files.progress import BLOCK_ROWS, KNOWN, Progress, is_fast
from analysis.votes.lines import shifted
from analysis.votes.parsing import Gatherer

if TYPE_CHECKING:
    from analysis.votes.files.arrow_json import JsonBlock

__all__ = ["gather_mappings", "read_jsonl"]

# Parsing takes twice as long as gathering.
_PARSERS = 2
_BOM = b"\xef\xbb\xbf"


def read_jsonl(path: Path, gatherer: Gatherer) -> Progress:
    """Gather a file with one JSON object a line; a column is there from the first row on that names it."""
    progress = Progress(gatherer)
    named = set(REQUIRED)
    with path.open("rb") as file:
        if is_fast(path.stat().st_size):
            _read_blocks(progress, Blocks(file, ends=b"\n"), named)
        else:
            gather_mappings(progress, _objects(progress, file), named)
    return progress


def gather_mappings(
    progress: Progress, rows: Iterable[tuple[int, Mapping[str, object]]], named: set[str] | None = None
) -> None:
    """Gather rows, each with its line.

    Parameters
    ----------
    progress : Progress
        Takes the rows.
    rows : iterable of (int, mapping)
        Line and row.
    named : set of str or None
        Columns that earlier rows named; those of these rows are added.
    """
    named = set(REQUIRED) if named is None else named
    block: list[Mapping[str, object]] = []
    lines: list[int] = []
    for line, row in rows:
        new = row.keys() - named
        if len(block) == BLOCK_ROWS or new & KNOWN:
            _add_mappings(progress.gatherer, named, block, lines)
        named |= new
        progress.rows += 1
        block.append(row)
        lines.append(line)
    _add_mappings(progress.gatherer, named, block, lines)
    progress.ignored = tuple(sorted(named - KNOWN))


def _read_blocks(progress: Progress, blocks: Blocks, named: set[str]) -> None:
    """Gather block after block; while one is gathered, the next ones are parsed."""
    from analysis.votes.files.arrow_json import json_block

    with ThreadPoolExecutor(max_workers=_PARSERS) as parser:
        before = 0
        ahead = deque([blocks.take().removeprefix(_BOM)])
        parsed = deque([parser.submit(json_block, ahead[0])])
        while ahead[0]:
            while len(ahead) <= _PARSERS:
                ahead.append(blocks.take())
                parsed.append(parser.submit(json_block, ahead[-1]))
            block, found = ahead.popleft(), parsed.popleft().result()
            # A column begins with the first row that names it: only Python sees which one that is.
            if found is None or (found.names - found.first_names - named) & KNOWN:
                gather_mappings(progress, _objects(progress, io.BytesIO(block), before), named)
                before += block.count(b"\n")
            else:
                _add_found(progress, found, named, before)
                before += found.line_count


def _add_found(progress: Progress, found: JsonBlock, named: set[str], before: int) -> None:
    named |= found.names
    progress.ignored = tuple(sorted(named - KNOWN))
    progress.rows += len(found.lines)
    columns = {name: found.column(name) for name in READ_COLUMNS if name in named}
    progress.gatherer.add(columns, shifted(found.lines, before))


def _objects(progress: Progress, lines: Iterable[bytes], before: int = 0) -> Iterator[tuple[int, dict]]:
    """Yield line and object; what is not an object is reported."""
    for line, raw in enumerate(lines, start=before + 1):
        text = raw.removeprefix(_BOM) if line == 1 else raw
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except UnicodeDecodeError:
            reason, kind = "is not UTF-8 text; save the file as UTF-8", "text"
        except (ValueError, RecursionError) as error:
            reason, kind = f"is not JSON: {error}", "json"
        else:
            if isinstance(value, dict):
                yield line, value
                continue
            reason, kind = "is not a JSON object with one vote", "object"
        progress.rows += 1
        progress.gatherer.faults.add(line, "", reason, kind=kind)


def _add_mappings(gatherer: Gatherer, named: set[str], block: list[Mapping[str, object]], lines: list[int]) -> None:
    columns = {}
    for name in READ_COLUMNS:
        if name in named:
            values = [row.get(name, "") for row in block]
            texts = [value if type(value) is str else as_text(value) for value in values]
            columns[name] = Coded(Texts(texts)) if name == "trial" else coded(texts)
    gatherer.add(columns, lines[:])
    block.clear()
    lines.clear()
