"""Files of votes into a vote table: CSV, JSON Lines or Parquet, streamed, nothing dropped in silence."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.votes.columns import INPUT_COLUMNS, REQUIRED, VOTE_COLUMNS
from analysis.votes.parsing import BadRow, Gatherer
from analysis.votes.spelling import SPELLINGS, Spelling
from analysis.votes.table import VoteTable

__all__ = ["BadRow", "BadVotesError", "ReadVotes", "read_votes", "reading_facts", "votes_from_rows"]

BLOCK_ROWS = 65_536
_KNOWN = frozenset(entry.name for entry in (*VOTE_COLUMNS, *INPUT_COLUMNS))
_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class BadVotesError(ValueError):
    """Rows that cannot be used. Fix the file, or drop and count them with ``skip_bad_rows`` (``--skip-bad-rows``).

    Parameters
    ----------
    bad_rows : tuple of BadRow
        The rows at fault, in the order of the file; at most ``analysis.votes.parsing.MOST_LISTED`` of them.
    total : int or None
        How many rows are at fault, listed or not; None for as many as are listed.
    """

    def __init__(self, bad_rows: tuple[BadRow, ...], total: int | None = None) -> None:
        self.bad_rows = bad_rows
        self.total = len(bad_rows) if total is None else total
        super().__init__(f"{self.total:,} bad row(s), the first: {bad_rows[0]}")


@dataclass(frozen=True, kw_only=True)
class ReadVotes:
    """What a file of votes held.

    Parameters
    ----------
    table : VoteTable
        The rows that passed every check.
    source : str
        The file's name, without its folder.
    sha256 : str or None
        Hash of the file's bytes; None when the rows did not come from a file.
    rows : int
        Rows in the file, bad ones included; blank lines are not rows.
    bad_rows : tuple of BadRow
        The rows that were dropped, in the order of the file; at most ``analysis.votes.parsing.MOST_LISTED`` of them.
    bad_row_counts : dict of str to int
        How many rows were dropped, all of them, for each column at fault.
    ignored_columns : tuple of str
        Columns the votes table does not know.
    """

    table: VoteTable
    source: str
    sha256: str | None
    rows: int
    bad_rows: tuple[BadRow, ...] = ()
    bad_row_counts: dict[str, int] = field(default_factory=dict)
    ignored_columns: tuple[str, ...] = ()


def read_votes(
    path: str | Path, *, skip_bad_rows: bool = False, spelling: Spelling = "refuse", keep_copies: bool = False
) -> ReadVotes:
    """Read a file of votes; the columns ``rater, pair, arm_left, arm_right, choice`` suffice.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` (UTF-8, with or without byte-order mark, LF or CRLF), ``.jsonl``/``.ndjson`` or ``.parquet`` file.
    skip_bad_rows : bool
        Drop rows that cannot be used and list them in the result, instead of raising.
    spelling : {"refuse", "trim", "keep"}
        Labels that differ only in spaces, case or Unicode form: refuse them by name, make them one (``--trim``), or
        take them as different (``--as-spelt``).
    keep_copies : bool
        Take rows without a trial id that repeat another in every column as votes of their own, not as bad rows.

    Returns
    -------
    ReadVotes
        The table, the file's hash and the rows dropped.

    Raises
    ------
    BadVotesError
        If a row is bad and ``skip_bad_rows`` is off, or if the file as a whole cannot be read as votes.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise _unreadable(path.name, 1, f"suffix {path.suffix!r} is not one of {', '.join(_FORMATS)}")
    if spelling not in SPELLINGS:
        raise ValueError(f"spelling is {spelling!r}; it must be one of {', '.join(SPELLINGS)}")
    reader = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}[kind]
    gatherer = Gatherer(path.name, is_guarded=kind == "csv", spelling=spelling, keep_copies=keep_copies)
    return _finished(reader(path, gatherer), path.name, _sha256(path), skip_bad_rows=skip_bad_rows)


def votes_from_rows(
    rows: Iterable[Mapping[str, object]],
    *,
    source: str = "rows",
    skip_bad_rows: bool = False,
    spelling: Spelling = "refuse",
    keep_copies: bool = False,
) -> ReadVotes:
    """Gather rows that are already in memory or come from a database, under the same checks as a file's.

    Parameters
    ----------
    rows : iterable of mapping
        One mapping a vote under the names of the votes table; consumed once.
    source : str
        Name under which bad rows are reported; the line is the 1-based row.
    skip_bad_rows, spelling, keep_copies
        As for :func:`read_votes`.

    Raises
    ------
    BadVotesError
        If a row is bad and ``skip_bad_rows`` is off.
    """
    progress = _Progress(Gatherer(source, is_guarded=False, spelling=spelling, keep_copies=keep_copies))
    _gather_mappings(progress, enumerate(rows, start=1))
    return _finished(progress, source, None, skip_bad_rows=skip_bad_rows)


def reading_facts(read: ReadVotes) -> dict:
    """Return what ``build_report`` takes as ``data`` about the file."""
    return {
        "source": read.source,
        "sha256": read.sha256,
        "rows": read.rows,
        "bad_rows": read.bad_row_counts,
        "ignored_columns": list(read.ignored_columns),
    }


@dataclass
class _Progress:
    gatherer: Gatherer
    rows: int = 0
    ignored: tuple[str, ...] = ()


def _finished(progress: _Progress, source: str, sha256: str | None, *, skip_bad_rows: bool) -> ReadVotes:
    table = progress.gatherer.finish()
    bad = tuple(progress.gatherer.bad)
    if bad and not skip_bad_rows:
        raise BadVotesError(bad, sum(progress.gatherer.bad_counts.values()))
    if progress.gatherer.misspelt:
        # No row is to blame, so none can be skipped: dropping one spelling would drop votes by a rule nobody chose.
        raise BadVotesError(tuple(progress.gatherer.misspelt))
    return ReadVotes(
        table=table,
        source=source,
        sha256=sha256,
        rows=progress.rows,
        bad_rows=bad,
        bad_row_counts=dict(sorted(progress.gatherer.bad_counts.items())),
        ignored_columns=progress.ignored,
    )


def _unreadable(file: str, line: int, reason: str, column: str = "") -> BadVotesError:
    return BadVotesError((BadRow(line, column, reason, file),))


def _started(gatherer: Gatherer, line: int, names: list[str]) -> _Progress:
    """Return the gathering of a file with these columns, or refuse the file."""
    file = gatherer.file
    twice = sorted(name for name, count in Counter(names).items() if count > 1 and name in _KNOWN)
    if twice:
        raise _unreadable(file, line, "the header names this column twice", twice[0])
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        shown = ", ".join(names[:30]) or "nothing"
        hint = "; separate the columns by commas" if len(names) == 1 and (";" in shown or "\t" in shown) else ""
        raise _unreadable(file, line, f"the column is missing; the header has {shown}{hint}", ", ".join(missing))
    progress = _Progress(gatherer)
    progress.ignored = tuple(name for name in names if name not in _KNOWN)
    return progress


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- CSV ----------------------------------------


def _read_csv(path: Path, gatherer: Gatherer) -> _Progress:
    # Bytes that are not UTF-8 come through as surrogates, so that they are reported with their line and column.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = _records(csv.reader(file, strict=True))
        try:
            line, header = next(records)
        except StopIteration:
            raise _unreadable(path.name, 1, "the file is empty; it needs a header") from None
        if isinstance(header, str):
            raise _unreadable(path.name, line, header)
        names = [name.strip() for name in header]
        progress = _started(gatherer, line, names)
        wanted = [(place, name) for place, name in enumerate(names) if name in _KNOWN]
        rows: list[list[str]] = []
        lines: list[int] = []
        for line, record in records:
            progress.rows += 1
            if isinstance(record, str):
                progress.gatherer.report(line, "", record)
            elif len(record) != len(names):
                progress.gatherer.report(line, "", f"has {len(record)} fields; the header has {len(names)}")
            else:
                rows.append(record)
                lines.append(line)
            if len(rows) == BLOCK_ROWS:
                _add_records(progress.gatherer, wanted, rows, lines)
        _add_records(progress.gatherer, wanted, rows, lines)
    return progress


def _records(reader) -> Iterator[tuple[int, list[str] | str]]:
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


def _add_records(gatherer: Gatherer, wanted: list[tuple[int, str]], rows: list[list[str]], lines: list[int]) -> None:
    columns = list(zip(*rows, strict=True))
    if columns:
        gatherer.add({name: columns[place] for place, name in wanted}, lines)
    rows.clear()
    lines.clear()


# --- JSON Lines ----------------------------------------


def _read_jsonl(path: Path, gatherer: Gatherer) -> _Progress:
    progress = _Progress(gatherer)
    with path.open("rb") as file:
        _gather_mappings(progress, _objects(progress, file))
    return progress


def _objects(progress: _Progress, file) -> Iterator[tuple[int, dict]]:
    """Yield line and object; what is not an object is reported."""
    for line, raw in enumerate(file, start=1):
        text = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except UnicodeDecodeError:
            reason = "is not UTF-8 text; save the file as UTF-8"
        except ValueError as error:
            reason = f"is not JSON: {error}"
        else:
            if isinstance(value, dict):
                yield line, value
                continue
            reason = "is not a JSON object with one vote"
        progress.rows += 1
        progress.gatherer.report(line, "", reason)


def _gather_mappings(progress: _Progress, rows: Iterable[tuple[int, Mapping[str, object]]]) -> None:
    """Gather rows of which each names its own columns; a column is there from the first row on that names it."""
    named = set(REQUIRED)
    block: list[Mapping[str, object]] = []
    lines: list[int] = []
    for line, row in rows:
        new = row.keys() - named
        if len(block) == BLOCK_ROWS or new & _KNOWN:
            _add_mappings(progress.gatherer, named, block, lines)
        named |= new
        progress.rows += 1
        block.append(row)
        lines.append(line)
    _add_mappings(progress.gatherer, named, block, lines)
    progress.ignored = tuple(sorted(named - _KNOWN))


def _add_mappings(gatherer: Gatherer, named: set[str], block: list[Mapping[str, object]], lines: list[int]) -> None:
    columns = {}
    for name in sorted(named & _KNOWN):
        values = [row.get(name, "") for row in block]
        columns[name] = [value if type(value) is str else _as_text(value) for value in values]
    gatherer.add(columns, lines)
    block.clear()
    lines.clear()


def _as_text(value: object) -> str:
    """Return the text form that the checks read; nested values become a text that no check accepts for a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


# --- Parquet ----------------------------------------


def _read_parquet(path: Path, gatherer: Gatherer) -> _Progress:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise _unreadable(path.name, 1, "Parquet needs pyarrow: pip install 'blindpair[report]'") from None
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise _unreadable(path.name, 1, f"is not Parquet: {error}") from None
    with file:
        names = file.schema_arrow.names
        progress = _started(gatherer, 1, names)
        wanted = [name for name in names if name in _KNOWN]
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=wanted):
            columns = {name: _arrow_texts(batch.column(name), pa) for name in wanted}
            first = progress.rows + 1
            progress.rows += batch.num_rows
            progress.gatherer.add(columns, range(first, progress.rows + 1))
    return progress


def _arrow_texts(values, pa) -> list[str]:
    if pa.types.is_timestamp(values.type):
        # Arrow writes a zone as its name; the reading knows offsets, and the stored instant is UTC in any case.
        zone = "Z" if values.type.tz else ""
        values = values.cast(pa.timestamp("ms"), safe=False).cast(pa.string())
        return [text + zone if text else "" for text in values.to_pylist()]
    if not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    return [text or "" for text in values.to_pylist()]
