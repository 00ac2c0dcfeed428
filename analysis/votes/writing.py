"""Tables as files: CSV, JSON Lines and Parquet from an iterator of rows, and the data package beside them.

The votes table is the first of them; a table of other columns (raters, pairs) is written by the same functions.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from analysis.votes.columns import VOTE_COLUMNS, Field
from analysis.votes.csv_text import CsvText, guard

__all__ = [
    "FORMATS",
    "VOTE_COLUMNS",
    "csv_chunks",
    "data_package",
    "jsonl_chunks",
    "table_schema",
    "write_package",
    "write_table",
    "write_votes",
]

FORMATS = ("csv", "jsonl", "parquet")
# Rows in memory at one time, and in a row group of Parquet.
_BATCH_ROWS = 16_384
_MEDIA_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
Row: TypeAlias = Mapping[str, object]
# What JSON and the other formats hold of a value.
Cell: TypeAlias = str | int | float | bool | None


def write_votes(
    rows: Iterable[Row],
    folder: str | Path,
    *,
    formats: Iterable[str] = FORMATS,
    name: str = "votes",
    title: str | None = None,
) -> dict:
    """Write one votes table in several formats, and ``datapackage.json`` beside them; see :func:`write_table`."""
    resources = write_table(rows, folder, columns=VOTE_COLUMNS, name=name, formats=formats)
    return write_package(resources, folder, name=name, title=title)


def write_package(
    resources: Iterable[Mapping], folder: str | Path, *, name: str = "votes", title: str | None = None
) -> dict:
    """Write ``datapackage.json`` beside the files it describes; return it."""
    package = data_package(resources, name=name, title=title)
    text = json.dumps(package, indent=2, ensure_ascii=False) + "\n"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        path = Path(scratch) / "datapackage.json"
        path.write_text(text, encoding="utf-8")
        os.replace(path, Path(folder) / path.name)
    return package


def write_table(
    rows: Iterable[Row],
    folder: str | Path,
    *,
    columns: Sequence[Field],
    name: str,
    formats: Iterable[str] = FORMATS,
) -> list[dict]:
    """Write one table in several formats, in one pass and constant memory.

    Every file is written under a temporary name and takes its own name once all are whole.

    Parameters
    ----------
    rows : iterable of mapping
        One mapping a row under the names of the columns; a column that is missing or None stays empty. Consumed once.
        Same rows, same bytes.
    folder : str or Path
        Where the files go; made when missing.
    columns : sequence of Field
        Of the table, in their order.
    name : str
        Stem of the file names.
    formats : iterable of str
        Of ``csv``, ``jsonl``, ``parquet`` (Parquet needs pyarrow).

    Returns
    -------
    list of dict
        The resources of a data package: one a file, with its size, hash and schema.

    Raises
    ------
    ValueError
        If a format is unknown or a row has a column that the table has not.
    """
    formats = tuple(formats)
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise ValueError(f"formats is {formats!r}; name one or more of {', '.join(FORMATS)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        paths = [Path(scratch) / f"{name}.{kind}" for kind in formats]
        count = _write_all(rows, dict(zip(formats, paths, strict=True)), columns)
        resources = [_resource(path, rows=count, name=name, columns=columns) for path in paths]
        for path in paths:
            os.replace(path, folder / path.name)
    return resources


def csv_chunks(rows: Iterable[Row], columns: Sequence[Field] = VOTE_COLUMNS) -> Iterator[bytes]:
    """Yield the CSV file in pieces, header first: for a streamed download.

    Text cells that a spreadsheet would run as a formula are guarded by an apostrophe, which reading takes off again.
    """
    text = CsvText()
    text.add([entry.name for entry in columns])
    for batch in _batches(rows, columns):
        for row in batch:
            text.add([_csv_cell(entry, row.get(entry.name)) for entry in columns])
        yield text.taken().encode()
    yield text.taken().encode()


def jsonl_chunks(rows: Iterable[Row], columns: Sequence[Field] = VOTE_COLUMNS) -> Iterator[bytes]:
    """Yield the JSON Lines file in pieces, one object with every column on each line."""
    for batch in _batches(rows, columns):
        objects = ({entry.name: _json_value(entry, row.get(entry.name)) for entry in columns} for row in batch)
        lines = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in objects)
        yield "".join(line + "\n" for line in lines).encode()


def table_schema(columns: Sequence[Field] = VOTE_COLUMNS) -> dict:
    """Return the Frictionless table schema of a table."""
    fields = []
    for entry in columns:
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


def data_package(resources: Iterable[Mapping], *, name: str = "votes", title: str | None = None) -> dict:
    """Describe written files as a Frictionless data package.

    Parameters
    ----------
    resources : iterable of mapping
        As :func:`write_table` returns them.
    name, title : str
        Name of the package (lower case, for URLs) and its title.
    """
    description = (
        "Votes: one row a current vote; raters: one row a session. In CSV, a text that begins with =, +, -, @, tab or "
        "carriage return (after any apostrophes) has one apostrophe in front, so that no spreadsheet runs it; take it "
        "off to get the text."
    )
    package = {"name": name, "description": description, "resources": list(resources)}
    return package if title is None else {"name": name, "title": title, **package}


def _resource(path: Path, *, rows: int, name: str, columns: Sequence[Field]) -> dict:
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
        "schema": table_schema(columns),
    }
    if kind == "csv":
        resource |= {
            "profile": "tabular-data-resource",
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "quoteChar": '"', "doubleQuote": True, "lineTerminator": "\n"},
        }
    return resource | {"rows": rows}


def _write_all(rows: Iterable[Row], paths: Mapping[str, Path], columns: Sequence[Field]) -> int:
    count = 0
    with ExitStack() as stack:
        sinks: list[Callable[[list[Row]], None]] = []
        for kind, path in paths.items():
            if kind == "parquet":
                sinks.append(stack.enter_context(_ParquetSink(path, columns)).write)
            else:
                sinks.append(_text_sink(kind, stack.enter_context(path.open("wb")), columns))
        for batch in _batches(rows, columns):
            count += len(batch)
            for sink in sinks:
                sink(batch)
    return count


def _text_sink(kind: str, file: BinaryIO, columns: Sequence[Field]) -> Callable[[list[Row]], None]:
    if kind == "csv":
        # An export without a single row is still a table with its header.
        file.write(b"".join(csv_chunks((), columns)))

    def write(batch: list[Row]) -> None:
        chunks = (csv_chunks if kind == "csv" else jsonl_chunks)(batch, columns)
        data = b"".join(chunks)
        file.write(data.partition(b"\n")[2] if kind == "csv" else data)

    return write


class _ParquetSink:
    """Row groups of one batch each; pyarrow is imported here alone, since short commands do without."""

    def __init__(self, path: Path, columns: Sequence[Field]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            "string": pa.string(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "datetime": pa.timestamp("ms", tz="UTC"),
        }
        self._pa, self._columns = pa, columns
        self._schema = pa.schema([pa.field(entry.name, types[entry.kind]) for entry in columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> _ParquetSink:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, batch: list[Row]) -> None:
        columns: dict[str, list[datetime | None] | list[Cell]] = {}
        for entry in self._columns:
            values = (row.get(entry.name) for row in batch)
            if entry.kind == "datetime":
                columns[entry.name] = [_moment(value) for value in values]
            else:
                columns[entry.name] = [_json_value(entry, value) for value in values]
        self._writer.write_table(self._pa.table(columns, schema=self._schema), row_group_size=len(batch))


def _batches(rows: Iterable[Row], columns: Sequence[Field]) -> Iterator[list[Row]]:
    iterator, names = iter(rows), frozenset(entry.name for entry in columns)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        for row in batch:
            if not row.keys() <= names:
                extra = ", ".join(sorted(row.keys() - names))
                raise ValueError(f"a row has {extra}; the table has only {', '.join(sorted(names))}")
        yield batch


def _csv_cell(entry: Field, value: object) -> str:
    shown = _json_value(entry, value)
    if shown is None:
        return ""
    if isinstance(shown, bool):
        return "true" if shown else "false"
    return guard(shown) if entry.kind == "string" and isinstance(shown, str) else str(shown)


def _json_value(entry: Field, value: Any) -> Cell:
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
    moment = _moment(value)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"submitted_at {value!r} has no time zone; give UTC")
    return moment.astimezone(UTC)
