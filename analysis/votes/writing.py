"""The votes table as files: CSV, JSON Lines and Parquet from an iterator of rows, and the data package beside them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from analysis.votes.columns import VOTE_COLUMNS, Column
from analysis.votes.csv_text import CsvText, guard

__all__ = ["FORMATS", "VOTE_COLUMNS", "csv_chunks", "data_package", "jsonl_chunks", "table_schema", "write_votes"]

FORMATS = ("csv", "jsonl", "parquet")
_BATCH_ROWS = 16_384
_MEDIA_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
Row = Mapping[str, object]


def write_votes(
    rows: Iterable[Row],
    folder: str | Path,
    *,
    formats: Iterable[str] = FORMATS,
    name: str = "votes",
    title: str | None = None,
) -> dict:
    """Write one votes table in several formats, in one pass and constant memory, and ``datapackage.json`` beside them.

    Every file is written under a temporary name and takes its own name once it is whole; the data package comes last.

    Parameters
    ----------
    rows : iterable of mapping
        One mapping a vote under the names of the votes table; a column that is missing or None stays empty. Consumed
        once. Same rows, same bytes.
    folder : str or Path
        Where the files go; made when missing.
    formats : iterable of str
        Of ``csv``, ``jsonl``, ``parquet`` (Parquet needs pyarrow).
    name : str
        Stem of the file names.
    title : str or None
        Title of the data package.

    Returns
    -------
    dict
        The data package, with the size and hash of every file.

    Raises
    ------
    ValueError
        If a format is unknown or a row has a column that the votes table has not.
    """
    formats = tuple(formats)
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise ValueError(f"formats is {formats!r}; name one or more of {', '.join(FORMATS)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        paths = [Path(scratch) / f"{name}.{kind}" for kind in formats]
        count = _write_all(rows, dict(zip(formats, paths, strict=True)))
        package = data_package(paths, rows=count, name=name, title=title)
        paths.append(Path(scratch) / "datapackage.json")
        paths[-1].write_text(json.dumps(package, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for path in paths:
            os.replace(path, folder / path.name)
    return package


def csv_chunks(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the CSV file in pieces, header first: for a streamed download.

    Text cells that a spreadsheet would run as a formula are guarded by an apostrophe, which reading takes off again.
    """
    text = CsvText()
    text.add([entry.name for entry in VOTE_COLUMNS])
    for batch in _batches(rows):
        for row in batch:
            text.add([_csv_cell(entry, row.get(entry.name)) for entry in VOTE_COLUMNS])
        yield text.taken().encode()
    yield text.taken().encode()


def jsonl_chunks(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the JSON Lines file in pieces, one object with every column on each line."""
    for batch in _batches(rows):
        objects = ({entry.name: _json_value(entry, row.get(entry.name)) for entry in VOTE_COLUMNS} for row in batch)
        lines = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in objects)
        yield "".join(line + "\n" for line in lines).encode()


def table_schema() -> dict:
    """Return the Frictionless table schema of the votes table."""
    fields = []
    for entry in VOTE_COLUMNS:
        field: dict = {"name": entry.name, "type": entry.kind, "description": entry.description}
        if entry.unit:
            field["unit"] = entry.unit
        constraints: dict = {}
        if entry.required:
            constraints["required"] = True
        if any(entry.allowed):
            constraints["enum"] = [value for value in entry.allowed if value]
        if constraints:
            field["constraints"] = constraints
        fields.append(field)
    return {"fields": fields, "missingValues": [""]}


def data_package(
    paths: Iterable[str | Path], *, rows: int | None = None, name: str = "votes", title: str | None = None
) -> dict:
    """Describe written votes files as a Frictionless data package, with sizes and SHA-256 hashes.

    Parameters
    ----------
    paths : iterable of str or Path
        Files that :func:`write_votes`, :func:`csv_chunks` or :func:`jsonl_chunks` made.
    rows : int or None
        Number of votes in each.
    name, title : str
        Name of the package (lower case, for URLs) and its title.
    """
    resources = []
    for path in map(Path, paths):
        kind = path.suffix.removeprefix(".")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        resource = {
            "name": f"{name}-{kind}",
            "path": path.name,
            "format": kind,
            "mediatype": _MEDIA_TYPES[kind],
            "bytes": path.stat().st_size,
            "hash": f"sha256:{digest}",
            "schema": table_schema(),
        }
        if kind == "csv":
            resource |= {
                "profile": "tabular-data-resource",
                "encoding": "utf-8",
                "dialect": {"delimiter": ",", "quoteChar": '"', "doubleQuote": True, "lineTerminator": "\n"},
            }
        if rows is not None:
            resource["rows"] = rows
        resources.append(resource)
    description = (
        "One row a current vote. In CSV, a text that begins with =, +, -, @, tab or carriage return (after any "
        "apostrophes) has one apostrophe in front, so that no spreadsheet runs it; take it off to get the text."
    )
    package = {"name": name, "description": description, "resources": resources}
    return package if title is None else {"name": name, "title": title, **package}


def _write_all(rows: Iterable[Row], paths: Mapping[str, Path]) -> int:
    count = 0
    with ExitStack() as stack:
        sinks = []
        for kind, path in paths.items():
            if kind == "parquet":
                sinks.append(stack.enter_context(_ParquetSink(path)).write)
            else:
                sinks.append(_text_sink(kind, stack.enter_context(path.open("wb"))))
        for batch in _batches(rows):
            count += len(batch)
            for sink in sinks:
                sink(batch)
    return count


def _text_sink(kind: str, file):
    if kind == "csv":
        # An export without a single vote is still a table with its header.
        file.write(b"".join(csv_chunks(())))

    def write(batch: list[Row]) -> None:
        chunks = csv_chunks(batch) if kind == "csv" else jsonl_chunks(batch)
        data = b"".join(chunks)
        file.write(data.partition(b"\n")[2] if kind == "csv" else data)

    return write


class _ParquetSink:
    """Row groups of one batch each; pyarrow is imported here alone, since short commands do without."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            "string": pa.string(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "datetime": pa.timestamp("ms", tz="UTC"),
        }
        self._pa = pa
        self._schema = pa.schema([pa.field(entry.name, types[entry.kind]) for entry in VOTE_COLUMNS])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> _ParquetSink:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, batch: list[Row]) -> None:
        columns = {}
        for entry in VOTE_COLUMNS:
            values = (row.get(entry.name) for row in batch)
            if entry.kind == "datetime":
                columns[entry.name] = [_moment(value) for value in values]
            else:
                columns[entry.name] = [_json_value(entry, value) for value in values]
        self._writer.write_table(self._pa.table(columns, schema=self._schema), row_group_size=len(batch))


_NAMES = frozenset(entry.name for entry in VOTE_COLUMNS)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        for row in batch:
            if not row.keys() <= _NAMES:
                extra = ", ".join(sorted(row.keys() - _NAMES))
                raise ValueError(f"a vote row has {extra}; the votes table has only {', '.join(sorted(_NAMES))}")
        yield batch


def _csv_cell(entry: Column, value: object) -> str:
    value = _json_value(entry, value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return guard(value) if entry.kind == "string" else str(value)


def _json_value(entry: Column, value: object) -> object:
    """Return a value in its JSON form and the column's type; None and the empty text of a number are null."""
    if value is None or (value == "" and entry.kind != "string"):
        return None
    if entry.kind == "string":
        return str(value)
    if entry.kind == "integer":
        return int(value)
    if entry.kind == "number":
        number = float(value)
        return int(number) if number.is_integer() else number
    if entry.kind == "boolean":
        return bool(value)
    return _moment(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"submitted_at {value!r} has no time zone; give UTC")
    return moment.astimezone(UTC)
