"""Files of votes into a vote table: CSV, JSON Lines or Parquet, streamed, nothing dropped in silence."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from analysis.votes.errors import BadRow, BadVotesError, refuse_votes, unreadable
from analysis.votes.files.csv_file import read_csv
from analysis.votes.files.jsonl_file import gather_mappings, read_jsonl
from analysis.votes.files.parquet_file import read_parquet
from analysis.votes.files.progress import Progress
from analysis.votes.parsing import Gatherer
from analysis.votes.spelling import SPELLINGS, Spelling
from analysis.votes.table import VoteTable

__all__ = [
    "BadRow",
    "BadVotesError",
    "ReadVotes",
    "read_votes",
    "reading_facts",
    "votes_from_rows",
    "votes_from_rows_at",
]

_READERS: dict[str, Callable[[Path, Gatherer], Progress]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
}


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
        The rows that were dropped, in the order of the file; at most
        ``analysis.sheets.faults.MOST_LISTED`` of a kind.
    bad_row_counts : dict of str to int
        How many rows were dropped, all of them, for each column at fault.
    unlisted : tuple of str
        A sentence for each kind of which more were dropped than are listed.
    ignored_columns : tuple of str
        Columns the votes table does not know.
    left_out : dict of str to int
        Records of another tool that are no votes, by reason.
    unknown : tuple of str
        What another tool's file does not say, each with what follows.
    """

    table: VoteTable
    source: str
    sha256: str | None
    rows: int
    bad_rows: tuple[BadRow, ...] = ()
    bad_row_counts: dict[str, int] = field(default_factory=dict)
    unlisted: tuple[str, ...] = ()
    ignored_columns: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


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
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        said = (
            f"suffix {path.suffix!r} is not one of {', '.join(_READERS)}; `python -m analysis convert` reads the others"
        )
        raise unreadable(path.name, 1, said)
    if spelling not in SPELLINGS:
        raise ValueError(f"spelling is {spelling!r}; it must be one of {', '.join(SPELLINGS)}")
    gatherer = Gatherer(path.name, is_guarded=reader is read_csv, spelling=spelling, keep_copies=keep_copies)
    with ThreadPoolExecutor(max_workers=1) as beside:
        # The whole file is hashed on another core meanwhile.
        sha256 = beside.submit(_sha256, path)
        return _finished(reader(path, gatherer), path.name, sha256.result(), skip_bad_rows=skip_bad_rows)


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
    progress = Progress(Gatherer(source, is_guarded=False, spelling=spelling, keep_copies=keep_copies))
    gather_mappings(progress, enumerate(rows, start=1))
    return _finished(progress, source, None, skip_bad_rows=skip_bad_rows)


def votes_from_rows_at(
    rows: Iterable[tuple[int, Mapping[str, object]]],
    path: Path,
    *,
    left_out: Mapping[str, int],
    unknown: Iterable[str],
    skip_bad_rows: bool = False,
    spelling: Spelling = "refuse",
    keep_copies: bool = False,
) -> ReadVotes:
    """Gather the rows that a reader made of a file, each with its line; ``left_out`` fills while they are read."""
    progress = Progress(Gatherer(path.name, is_guarded=False, spelling=spelling, keep_copies=keep_copies))
    gather_mappings(progress, rows)
    read = _finished(progress, path.name, _sha256(path), skip_bad_rows=skip_bad_rows)
    return replace(read, left_out=dict(sorted(left_out.items())), unknown=tuple(unknown))


def reading_facts(read: ReadVotes) -> dict:
    """Return what ``build_report`` takes as ``data`` about the file."""
    return {
        "source": read.source,
        "sha256": read.sha256,
        "rows": read.rows,
        "bad_rows": read.bad_row_counts,
        "ignored_columns": list(read.ignored_columns),
        "left_out": read.left_out,
        "unknown": list(read.unknown),
    }


def _finished(progress: Progress, source: str, sha256: str | None, *, skip_bad_rows: bool) -> ReadVotes:
    table, faults = progress.gatherer.finish(), progress.gatherer.faults
    if not skip_bad_rows:
        refuse_votes(faults)
    # No row is to blame, so none can be skipped: dropping one spelling would drop votes by a rule nobody chose.
    refuse_votes(progress.gatherer.misspelt)
    return ReadVotes(
        table=table,
        source=source,
        sha256=sha256,
        rows=progress.rows,
        bad_rows=faults.rows,
        bad_row_counts=dict(sorted(faults.by_column.items())),
        unlisted=faults.unlisted,
        ignored_columns=progress.ignored,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
