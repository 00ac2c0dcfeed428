"""Read what people say of their pairs in one table beside the images: ``pairs.csv``, ``.xlsx`` or ``.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from analysis.pairs.columns import TAG_SEPARATOR
from analysis.pictures.formats import stem
from analysis.pictures.listing import nfc
from analysis.votes.sheet import SheetError, read_sheet
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
    "is_own_path",
    "manifest_read",
    "text_problem",
]

MANIFEST_NAMES = ("pairs.csv", "pairs.xlsx", "pairs.jsonl")
COLUMNS = ("path", "prompt", "class", "tags", "reference", "seed")
# A hundred thousand pairs with prompts of usual length.
MOST_MANIFEST_BYTES = 128 * 1024**2
# So many bad rows are listed; all are counted.
_MOST_LISTED = 20
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


def manifest_read(content: bytes, *, name: str) -> PairManifest:
    """Return the rows of a table, JSON Lines where its name ends in ``.jsonl``.

    Raises
    ------
    ImportRefused
        With every problem: columns that are unknown, cells that do not fit, paths given twice, each with its line.
    """
    read = _jsonl_records if name.lower().endswith((".jsonl", ".ndjson")) else _csv_records
    rows, problems = [], []
    lines: dict[str, int] = {}
    for line, record in read(content, name):
        try:
            row = _row(line, record)
        except ValueError as error:
            problems.append(f"{name}, line {line}: {error}")
            continue
        first = lines.setdefault(stem(row.path), line)
        if first != line:
            problems.append(f"{name}, line {line}: the pair {row.path} has a row already, line {first}; keep one")
        rows.append(row)
    if len(problems) > _MOST_LISTED:
        more = len(problems) - _MOST_LISTED
        problems = [*problems[:_MOST_LISTED], f"{name}: {more:,} more row(s) cannot be used"]
    if problems:
        raise ImportRefused(problems)
    return PairManifest(name, tuple(rows))


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
        raise ValueError("has no path; give the image's path below its arm's folder")
    if len(path) > LONGEST_KEY:
        raise ValueError(f"the path has more than {LONGEST_KEY} characters")
    prompt = _text(record, "prompt")
    if problem := text_problem(prompt):
        raise ValueError(problem)
    label = _text(record, "class").strip()
    if len(label) > LONGEST_CLASS:
        raise ValueError(f"the class has {len(label)} characters; allowed are {LONGEST_CLASS}: shorten it")
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
        raise ValueError(f"{column} is {value!r}; it must be a text")
    return value.strip()


def _path(record: Mapping[str, Any], column: str) -> str:
    path = nfc(_text(record, column)).removeprefix("./")
    if path and not is_own_path(path):
        raise ValueError(f"{column} is {path!r}; give a plain relative path with forward slashes")
    return path


def _tags(record: Mapping[str, Any]) -> tuple[str, ...]:
    value = record.get("tags")
    if value is None or isinstance(value, str):
        value = (value or "").split(TAG_SEPARATOR)
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ValueError(f"tags is {value!r}; write a list of texts, or one text with {TAG_SEPARATOR} between them")
    tags = tuple(dict.fromkeys(nfc(tag.strip()) for tag in value if tag.strip()))
    if len(tags) > MOST_TAGS:
        raise ValueError(f"has {len(tags)} tags; allowed are {MOST_TAGS}")
    for tag in tags:
        if len(tag) > LONGEST_TAG:
            raise ValueError(f"the tag {tag[:40]}... has {len(tag)} characters; allowed are {LONGEST_TAG}")
        if TAG_SEPARATOR in tag or text_problem(tag) or "\n" in tag:
            raise ValueError(f"the tag {tag!r} holds {TAG_SEPARATOR}, a new line or no text; rename it")
    return tags


def _seed(record: Mapping[str, Any]) -> int | None:
    value = record.get("seed")
    if value is None or value == "":
        return None
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    try:
        seed = value if is_whole else int(str(value).strip())
    except ValueError:
        raise ValueError(f"seed is {value!r}; it must be a whole number") from None
    if isinstance(value, bool | float) or not -_SEEDS <= seed < _SEEDS:
        raise ValueError(f"seed is {value!r}; it must be a whole number of 64 bits")
    return seed


# --- the two formats -------------------------------------------------------------------------------------------------


def _csv_records(content: bytes, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        sheet = read_sheet(content, wanted=COLUMNS)
    except SheetError as error:
        raise ImportRefused([f"{name}, {error}"]) from None
    _check_columns(name, sheet.names)
    if "path" not in sheet.names:
        raise ImportRefused([f"{name}: the header has no column path; its columns are {', '.join(COLUMNS)}"])
    return sheet.records()


def _jsonl_records(content: bytes, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ImportRefused([f"{name}, line {line}: is not UTF-8 text; save it as UTF-8"]) from None
    for line, words in enumerate(text.split("\n"), start=1):
        if words.strip():
            yield line, _json_object(words, f"{name}, line {line}")


def _json_object(words: str, where: str) -> Mapping[str, Any]:
    try:
        record = json.loads(words)
    except (ValueError, RecursionError):
        raise ImportRefused([f"{where}: is not JSON; write one object a line"]) from None
    if not isinstance(record, dict):
        raise ImportRefused([f"{where}: is not a JSON object; write one object a line"])
    _check_columns(where, list(record))
    return record


def _check_columns(where: str, names: list[str]) -> None:
    if unknown := [name or "(without a name)" for name in names if name not in COLUMNS]:
        raise ImportRefused([f"{where}: unknown column {', '.join(unknown)}; the columns are {', '.join(COLUMNS)}"])
