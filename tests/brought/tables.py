"""Tables of votes as spreadsheets, panels and scripts leave them, and what ought to be read of them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zipfile
from dataclasses import dataclass
from typing import IO, Any

import openpyxl
from hypothesis import strategies as st

HEADER = ["rater", "pair", "arm_left", "arm_right", "choice"]
RATERS = ("r1", "zoë", "猫", "x, y", 'the "best"', "=1+1", "007", "a\nb")
ARMS = ("vanilla", "robust", "SDXL 1.0", "ours_v2.1")
CHOICES = ("left", "right", "tie")
DELIMITERS = (",", ";", "\t")
ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
FORMS = ("text", "text", "Excel", "json", "jsonl")
# What a person or program does to a table, and a word of the refusal.
TROUBLES = {
    "A for left": "'A'",
    "an arm against itself": "is also arm_left",
    "no rater": "rater",
    "NaN for a rater": "rater",
    "a column twice": "twice",
    "no column of choices": "choice",
    "a vote twice": "trial",
}
ONLY_TEXT = {
    "a field too many": "6 fields",
    "a quote left open": "quote",
    "Latin-1": "UTF-8",
    "UTF-16 unmarked": "UTF-",
}
OTHERS = {
    "web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "gzip": b"\x1f\x8b\x08" + bytes(30),
    "PDF": b"%PDF-1.7\n" + bytes(30),
    "old Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "empty": b"",
}
_MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

Vote = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class BroughtTable:
    """A file under a name; the votes that ought to be read of it, or a word of why it ought to be refused.

    With `is_damaged` anything may be right but a traceback.
    """

    name: str
    content: bytes
    votes: tuple[Vote, ...] | None = None
    refusal: str | None = None
    is_damaged: bool = False


@st.composite
def _votes(draw: st.DrawFn) -> list[Vote]:
    cells = st.tuples(st.sampled_from(RATERS), st.integers(1, 5), st.permutations(ARMS), st.sampled_from(CHOICES))
    drawn = draw(st.lists(cells, min_size=2, max_size=12, unique_by=lambda cell: cell[:2]))
    return [(rater, f"p{pair}", arms[0], arms[1], choice) for rater, pair, arms, choice in drawn]


def _troubled(votes: list[Vote], trouble: str | None) -> tuple[list[str], list[list[str]]]:
    names, rows = list(HEADER), [list(vote) for vote in votes]
    if trouble == "A for left":
        rows[0][4] = "A"
    elif trouble == "an arm against itself":
        rows[0][3] = rows[0][2]
    elif trouble in ("no rater", "NaN for a rater"):
        rows[-1][0] = "NaN" if trouble.startswith("NaN") else " "
    elif trouble == "a column twice":
        names, rows = [*names, "choice"], [[*row, row[4]] for row in rows]
    elif trouble == "no column of choices":
        names, rows = names[:4], [row[:4] for row in rows]
    elif trouble == "a vote twice":
        rows.append(list(rows[0]))
    elif trouble == "a field too many":
        rows[-1].append("note")
    return names, rows


def _text(names: list[str], rows: list[list[str]], delimiter: str, encoding: str, end: str) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end)
    writer.writerow(names)
    writer.writerows(rows)
    return ENCODINGS[encoding] + buffer.getvalue().encode(encoding)


def _workbook(names: list[str], rows: list[list[str]], sheets: int) -> bytes:
    book = openpyxl.Workbook()
    for number in range(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        for place, row in enumerate([names, *rows], start=1):
            for column, value in enumerate(row, start=1):
                sheet.cell(place, column, value).data_type = "s"
    buffer = io.BytesIO()
    book.save(buffer)
    return _dated_alike(buffer)


def _dated_alike(book: IO[bytes]) -> bytes:
    """Return the workbook with one date throughout: the same rows give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(book) as given, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as alike:
        for entry in given.namelist():
            content = _MOMENT.sub(b"2026-01-01T00:00:00Z", given.read(entry))
            alike.writestr(zipfile.ZipInfo(entry), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _json(names: list[str], rows: list[list[str]], form: str) -> bytes:
    records: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    text = json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records))
    return text.encode()


@st.composite
def whole_tables(draw: st.DrawFn) -> BroughtTable:
    """A table in any disguise; sometimes with something that forbids it."""
    votes, form = draw(_votes()), draw(st.sampled_from(FORMS))
    kinds = TROUBLES | (ONLY_TEXT if form == "text" else {}) | ({"two sheets": "2 sheets"} if form == "Excel" else {})
    trouble = draw(st.sampled_from([*[None] * len(kinds), *kinds]))
    if trouble == "a column twice" and form.startswith("json"):
        trouble = None
    names, rows = _troubled(votes, trouble)
    if draw(st.booleans()):
        # Spaces that nobody sees: they make no other arm.
        rows[0][2] += draw(st.sampled_from([" ", "\u00a0"]))
    if form == "Excel":
        name, content = "votes.xlsx", _workbook(names, rows, sheets=1 + (trouble == "two sheets"))
    elif form != "text":
        name, content = f"votes.{form}", _json(names, rows, form)
    else:
        encoding = draw(st.sampled_from(sorted(ENCODINGS)))
        end = draw(st.sampled_from(["\n", "\r\n"]))
        name, content = "votes.csv", _text(names, rows, draw(st.sampled_from(DELIMITERS)), encoding, end)
    if trouble == "a quote left open":
        content += '"r9,p1,'.encode("utf-8" if content[:2] not in (b"\xff\xfe", b"\xfe\xff") else encoding)
    elif trouble == "Latin-1":
        content = _text(names, [*rows, ["Zoé", "p9", "a", "b", "left"]], ",", "utf-8", "\n").replace(
            "é".encode(), b"\xe9"
        )
    elif trouble == "UTF-16 unmarked":
        content = _text(names, rows, ",", "utf-8", "\n").decode().encode("utf-16-le")
    return BroughtTable(name, content, None if trouble else tuple(votes), kinds[trouble] if trouble else None)


@st.composite
def damaged_tables(draw: st.DrawFn) -> BroughtTable:
    """A table that was cut short or changed."""
    whole = draw(whole_tables())
    content = bytearray(whole.content)
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(draw(st.integers(1, 3))):
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return BroughtTable(whole.name, bytes(content), is_damaged=True)


@st.composite
def other_files(draw: st.DrawFn) -> BroughtTable:
    """A file of another kind, under the name of a table."""
    said = draw(st.sampled_from([*sorted(OTHERS), "OpenDocument", "not a workbook"]))
    content = OTHERS.get(said)
    if content is None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("content.xml" if said == "OpenDocument" else "a/0.png", b"x")
        content = buffer.getvalue()
    return BroughtTable("votes" + draw(st.sampled_from([".csv", ".tsv", ".xlsx", ".txt"])), content, refusal=said)


def table_files() -> st.SearchStrategy[BroughtTable]:
    return st.one_of(whole_tables(), whole_tables(), damaged_tables(), other_files())
