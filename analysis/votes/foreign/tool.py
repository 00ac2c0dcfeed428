"""What a reader of another tool's votes is: records, names of columns, answers, and what the tool leaves unsaid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from analysis.sheets.faults import BadTableError, Faults
from analysis.sheets.sheet import read_sheet
from analysis.votes.errors import BadVotesError, refuse_votes, unreadable

__all__ = [
    "PLAIN_FORMS",
    "SIDE_ANSWERS",
    "Record",
    "Tool",
    "as_a",
    "in_milliseconds",
    "json_of",
    "records_of",
    "table_records",
    "with_criteria",
]

# Line (in JSON the 1-based place) and a flat record.
Record = tuple[int, Mapping[str, object]]
Shape = TypeVar("Shape", dict, list)
# Forms in which a text is itself, spaces and all.
PLAIN_FORMS = (".json", ".jsonl", ".ndjson", ".parquet")
SIDE_ANSWERS = {"left": "left", "right": "right", "tie": "tie"}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A reader.

    Parameters
    ----------
    name : str
        What ``--from`` calls it.
    title : str
        Tool, version and files it was tried on.
    records : callable
        Yields line and record of every row that may be a vote.
    columns : mapping of str to tuple of str
        Our column -> names it goes by, the likeliest first; our own name is always tried last.
    answers : mapping of str to str
        Answer in lower case -> ``left``, ``right`` or ``tie``.
    answers_in : callable
        Of the records, those of ``answers`` that can be told; the others must be said (``--answer``).
    no_answer : tuple of str
        Answers that say that nobody answered; such rows are left out and counted.
    unknown : mapping of str to str
        What the tool does not record -> what follows for the report.
    has_other_rows : bool
        Whether rows without arms are other things than votes (instructions, say): left out and counted, not refused.
    remarks : callable
        What else is to be said of a file, from its surroundings.
    """

    name: str
    title: str
    records: Callable[[Path], Iterator[Record]]
    columns: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, str] = field(default_factory=lambda: SIDE_ANSWERS)
    answers_in: Callable[[Tool, Sequence[Record]], Mapping[str, str]] = lambda tool, records: tool.answers
    no_answer: tuple[str, ...] = ("", "null", "nan", "none")
    unknown: Mapping[str, str] = field(default_factory=dict)
    has_other_rows: bool = False
    remarks: Callable[[Path], list[str]] = lambda path: []


def in_milliseconds(seconds: object) -> object:
    """Return a time in seconds as milliseconds; what is no number comes back as it is, to be refused."""
    try:
        return round(float(str(seconds)) * 1000, 6) if seconds not in (None, "") else ""
    except ValueError:
        return seconds


def with_criteria(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records; where they answer several questions, each with its ``question`` as the criterion."""
    found = list(records)
    questions = {record["question"] for _, record in found if record.get("question")}
    for place, record in found:
        yield place, {**record, "criterion": record["question"]} if len(questions) > 1 else record


def table_records(
    path: Path, *, wanted: tuple[str, ...] = (), clean: Callable[[str], str] = str.strip
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file, whatever separates its columns, their cells without outer spaces.

    Raises
    ------
    BadVotesError
        If the file is no table.
    """
    try:
        sheet = read_sheet(path.read_bytes(), file=path.name, wanted=wanted)
    except BadTableError as error:
        raise BadVotesError(error.bad_rows, error.total, error.unlisted) from None
    if not sheet.rows and not set(wanted) <= set(sheet.names):
        # A page or a text of one line would pass for a table without votes.
        names = ", ".join(sheet.names)
        raise unreadable(path.name, 1, f"holds no row below its header, which has {names[:200]}; is it a table?")
    for line, cells in sheet.rows:
        yield line, dict(zip(sheet.names, map(clean, cells), strict=True))


def as_a(kind: type[Shape], value: object, path: Path, place: int, *, called: str) -> Shape:
    """Return a part of a JSON file that has the shape the tool gives it; None is the empty one.

    Raises
    ------
    BadVotesError
        If it has another shape, naming the place.
    """
    if value is None:
        return kind()
    if not isinstance(value, kind):
        wanted = {dict: "an object", list: "a list"}[kind]
        raise unreadable(path.name, place, f"{called} is not {wanted}: is the file what the tool wrote?")
    return value


def json_of(path: Path) -> object:
    """Return the content of a JSON file.

    Raises
    ------
    BadVotesError
        If it is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        raise unreadable(path.name, 1, "is not UTF-8 text; save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        hint = "; name a file of one object a line .jsonl" if error.msg == "Extra data" else ""
        raise unreadable(path.name, error.lineno, f"is not JSON: {error}{hint}") from None
    except RecursionError:
        raise unreadable(path.name, 1, "is JSON nested too deeply for votes") from None


def records_of(path: Path, *, wanted: tuple[str, ...] = ()) -> Iterator[Record]:
    """Yield the records of a file: a JSON list of objects, JSON Lines, or else a table.

    Raises
    ------
    BadVotesError
        If the file is none of them.
    """
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(path)
    elif suffix == ".json":
        content = json_of(path)
        if not isinstance(content, list):
            raise unreadable(path.name, 1, "is not a JSON list of records (pandas writes one with orient='records')")
        yield from _objects(enumerate(content, start=1), Faults(path.name), "(records are counted from 1)")
    elif suffix == ".parquet":
        yield from _parquet(path)
    else:
        yield from table_records(path, wanted=wanted)


def _objects(records: Iterable[tuple[int, object]], faults: Faults, counted: str) -> Iterator[Record]:
    """Yield the records that are objects; refuse the file after the last for those that are none."""
    for place, record in records:
        if isinstance(record, dict):
            yield place, record
        else:
            faults.add(place, "", f"is not a JSON object {counted}".strip(), kind="object")
    refuse_votes(faults)


def _json_lines(path: Path) -> Iterator[Record]:
    faults = Faults(path.name)
    return _objects(_parsed_lines(path, faults), faults, "")


def _parsed_lines(path: Path, faults: Faults) -> Iterator[tuple[int, object]]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            text = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
            if not text.strip():
                continue
            try:
                yield line, json.loads(text)
            except (ValueError, RecursionError) as error:
                faults.add(line, "", f"is not JSON: {error}", kind="JSON")


def _parquet(path: Path) -> Iterator[Record]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise unreadable(path.name, 1, "Parquet needs pyarrow: pip install 'blindpair[report]'") from None
    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise unreadable(path.name, 1, f"is not Parquet: {error}") from None
    yield from enumerate(rows, start=1)
