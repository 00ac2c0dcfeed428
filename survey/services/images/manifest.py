"""Read what people say of their pairs in one table beside the images: ``pairs.csv``, ``.xlsx`` or ``.jsonl``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from analysis.pairs.columns import TAG_SEPARATOR
from analysis.pictures.formats import stem
from analysis.pictures.listing import nfc
from analysis.sheets.faults import BadTableError, Faults, label_fault
from analysis.sheets.sheet import read_sheet
from survey.exceptions import ImportRefused
from survey.models.pair import LONGEST_CLASS, LONGEST_KEY

__all__ = [
    "COLUMNS",
    "LONGEST_PROMPT",
    "MANIFEST_NAMES",
    "MOST_MANIFEST_BYTES",
    "MOST_TEXT_BYTES",
    "PairManifest",
    "PairRow",
    "UploadedTable",
    "is_manifest",
    "is_own_path",
    "manifest_read",
    "text_problem",
]

# In any case of letters.
MANIFEST_NAMES = ("pairs.csv", "pairs.tsv", "pairs.xlsx", "pairs.jsonl", "pairs.ndjson")
# Of tables that are meant to be such a one and cannot be read.
_OTHER_FORMS = (".txt", ".json", ".xls", ".ods", ".numbers", ".parquet")
COLUMNS = ("path", "prompt", "class", "tags", "reference", "seed")
# A hundred thousand pairs with prompts of usual length.
MOST_MANIFEST_BYTES = 128 * 1024**2
LONGEST_PROMPT = 4_000
# Of a text beside an image: more than the longest prompt in any script.
MOST_TEXT_BYTES = 64 * 1024
LONGEST_TAG = 100
MOST_TAGS = 50
_SEEDS = 2**63


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """What one row says of a pair; empty where it says nothing."""

    line: int
    path: str
    prompt: str = ""
    class_label: str = ""
    tags: tuple[str, ...] = ()
    reference: str = ""
    seed: int | None = None

    @property
    def keys(self) -> tuple[str, str]:
        """The pair's key, if the path is given without its ending, and with it."""
        return self.path, stem(self.path)


@dataclass(frozen=True)
class PairManifest:
    """A table of pairs, and what to call it in messages."""

    name: str
    rows: tuple[PairRow, ...]

    @property
    def references(self) -> frozenset[str]:
        """The paths of all references."""
        return frozenset(row.reference for row in self.rows if row.reference)


@dataclass(frozen=True)
class UploadedTable:
    """A table that came on its own: its rows, and its bytes for a worker that reads them again."""

    table: PairManifest
    content: bytes

    @classmethod
    def of(cls, file: IO[bytes], *, name: str) -> UploadedTable:
        """Read an upload. Raises ImportRefused as :func:`manifest_read` does, and where it is too large."""
        content = file.read(MOST_MANIFEST_BYTES + 1)
        if len(content) > MOST_MANIFEST_BYTES:
            raise ImportRefused([f"{name} is larger than {MOST_MANIFEST_BYTES} bytes; split the import"])
        return cls(manifest_read(content, name=name), content)


class _Unfit(ValueError):
    """A row that does not fit; the arguments are its kind and the reason."""


def is_manifest(path: str) -> bool:
    """Return whether a file is a table of pairs by its name.

    Raises
    ------
    ImportRefused
        It is meant to be one, in a form that is not read.
    """
    name = PurePosixPath(path).name.lower()
    if name.startswith("pairs.") and PurePosixPath(name).suffix in _OTHER_FORMS:
        raise ImportRefused([f"{path} is not read; save the table as one of {', '.join(MANIFEST_NAMES)}"])
    return name in MANIFEST_NAMES


def manifest_read(content: bytes, *, name: str) -> PairManifest:
    """Return the rows of a table, JSON Lines where its name ends in ``.jsonl``.

    Raises
    ------
    ImportRefused
        With every problem: columns that are unknown, cells that do not fit, paths given twice, each with its line.
    """
    read = _jsonl_records if name.lower().endswith((".jsonl", ".ndjson")) else _csv_records
    faults = Faults(name)
    try:
        rows = list(_rows(read(content, faults), faults))
        faults.refuse()
    except BadTableError as error:
        raise ImportRefused(error.problems) from None
    return PairManifest(name, tuple(rows))


def _rows(records: Iterable[tuple[int, Mapping[str, Any]]], faults: Faults) -> Iterator[PairRow]:
    lines: dict[str, int] = {}
    for line, record in records:
        try:
            row = _row(line, record)
        except _Unfit as error:
            kind, reason = error.args
            faults.add(line, "", reason, kind=kind)
            continue
        first = lines.setdefault(stem(row.path), line)
        if first != line:
            faults.add(line, "", f"the pair {row.path} has a row already, line {first}; keep one", kind="twice")
        yield row


def is_own_path(path: str) -> bool:
    """Return whether a path is relative and stays below the folder that it is relative to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and ":" not in parts[0]


def text_problem(text: str) -> str:
    """Return why a prompt cannot be shown; nothing where it can."""
    if len(text) > LONGEST_PROMPT:
        return f"the prompt has {len(text):,} characters; allowed are {LONGEST_PROMPT:,}: shorten it"
    if any((ord(letter) < 32 and letter not in "\t\n\r") or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        return "the prompt holds characters that are no text; remove control characters and broken pairs"
    return ""


def _row(line: int, record: Mapping[str, Any]) -> PairRow:
    path = _path(record, "path")
    if not path:
        raise _Unfit("no path", "has no path; give the image's path below its arm's folder")
    if len(path) > LONGEST_KEY:
        raise _Unfit("long path", f"the path has more than {LONGEST_KEY} characters")
    prompt = _text(record, "prompt")
    if problem := text_problem(prompt):
        raise _Unfit("prompt", problem)
    label = _text(record, "class").strip()
    if len(label) > LONGEST_CLASS:
        raise _Unfit("long class", f"the class has {len(label)} characters; allowed are {LONGEST_CLASS}: shorten it")
    return PairRow(
        line=line,
        path=path,
        prompt=prompt,
        class_label=nfc(label),
        tags=_tags(record),
        reference=_path(record, "reference"),
        seed=_seed(record),
    )


def _text(record: Mapping[str, Any], column: str) -> str:
    value = record.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Unfit(f"{column} no text", f"{column} is {value!r}; it must be a text")
    text = value.strip()
    if fault := label_fault(text):
        raise _Unfit(f"{column} changed", f"{column} {fault}; leave the cell empty where nothing is meant")
    return text


def _path(record: Mapping[str, Any], column: str) -> str:
    path = nfc(_text(record, column)).removeprefix("./")
    if path and not is_own_path(path):
        said = f"{column} is {path!r}; give a plain relative path with forward slashes"
        raise _Unfit(f"foreign {column}", said)
    return path


def _tags(record: Mapping[str, Any]) -> tuple[str, ...]:
    value = record.get("tags")
    if value is None or isinstance(value, str):
        value = (value or "").split(TAG_SEPARATOR)
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        said = f"tags is {value!r}; write a list of texts, or one text with {TAG_SEPARATOR} between them"
        raise _Unfit("tags", said)
    tags = tuple(dict.fromkeys(nfc(tag.strip()) for tag in value if tag.strip()))
    if len(tags) > MOST_TAGS:
        raise _Unfit("many tags", f"has {len(tags)} tags; allowed are {MOST_TAGS}")
    for tag in tags:
        if len(tag) > LONGEST_TAG:
            said = f"the tag {tag[:40]}... has {len(tag)} characters; allowed are {LONGEST_TAG}"
            raise _Unfit("long tag", said)
        if TAG_SEPARATOR in tag or text_problem(tag) or "\n" in tag:
            raise _Unfit("tag", f"the tag {tag!r} holds {TAG_SEPARATOR}, a new line or no text; rename it")
    return tags


def _seed(record: Mapping[str, Any]) -> int | None:
    value = record.get("seed")
    if value is None or value == "":
        return None
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    # Python's own reading takes more for a number than people do: 1_000, digits of other scripts.
    if not is_whole and not re.fullmatch(r"[-+]?[0-9]+", str(value).strip()):
        raise _Unfit("seed", f"seed is {value!r}; it must be a whole number")
    seed = int(value)
    if isinstance(value, bool | float) or not -_SEEDS <= seed < _SEEDS:
        raise _Unfit("wide seed", f"seed is {value!r}; it must be a whole number of 64 bits")
    return seed


# --- the two formats -------------------------------------------------------------------------------------------------


def _csv_records(content: bytes, faults: Faults) -> Iterator[tuple[int, Mapping[str, Any]]]:
    sheet = read_sheet(content, file=faults.file, wanted=COLUMNS)
    if unknown := _unknown(sheet.names):
        raise faults.whole(unknown)
    if "path" not in sheet.names:
        raise faults.whole(f"the header has no column path; its columns are {', '.join(COLUMNS)}")
    return sheet.records()


def _jsonl_records(content: bytes, faults: Faults) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise faults.whole("is not UTF-8 text; save it as UTF-8", line=line) from None
    for line, words in enumerate(text.split("\n"), start=1):
        if not words.strip():
            continue
        try:
            yield line, _json_object(words)
        except _Unfit as error:
            kind, reason = error.args
            faults.add(line, "", reason, kind=kind)


def _json_object(words: str) -> Mapping[str, Any]:
    try:
        record = json.loads(words)
    except (ValueError, RecursionError):
        raise _Unfit("JSON", "is not JSON; write one object a line") from None
    if not isinstance(record, dict):
        raise _Unfit("object", "is not a JSON object; write one object a line")
    if unknown := _unknown(record):
        raise _Unfit("column", unknown)
    return record


def _unknown(names: Iterable[str]) -> str:
    """Return what to say of columns that there are not; nothing where there are all."""
    unknown = [name or "(without a name)" for name in names if name not in COLUMNS]
    return f"unknown column {', '.join(unknown)}; the columns are {', '.join(COLUMNS)}" if unknown else ""
