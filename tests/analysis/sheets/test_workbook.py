from __future__ import annotations

import contextlib
import io
import sys
import zipfile
from datetime import datetime
from typing import Any

import openpyxl
import pytest

from analysis.raters.table import read_raters
from analysis.sheets.faults import BadTableError, Faults
from analysis.sheets.sheet import read_sheet
from analysis.sheets.workbook import workbook_rows
from analysis.votes.errors import BadVotesError
from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.reading import read_votes

VOTES = [
    ["rater", "pair", "arm_left", "arm_right", "choice", "response_ms"],
    ["zoë", 1, "ours_v2.1", "SDXL 1.0", "left", 1250],
    ["bob", 2, "SDXL 1.0", "ours_v2.1", "tie", 980.5],
]


def book(**sheets: list[list[Any]]) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, rows in sheets.items():
        sheet = made.create_sheet(title)
        for row in rows:
            sheet.append(row)
    return saved(made)


def saved(made: openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return buffer.getvalue()


def test_a_workbook_reads_as_the_same_table_in_csv(tmp_path) -> None:
    path = tmp_path / "votes.xlsx"
    path.write_bytes(book(Votes=VOTES, Sheet2=[]))
    csv = tmp_path / "votes.csv"
    csv.write_text("\n".join(",".join(map(str, row)) for row in VOTES))
    of_book, of_csv = read_foreign_votes(path, "table").table, read_votes(csv).table
    assert of_book.raters == of_csv.raters
    assert of_book.pairs == of_csv.pairs == ("1", "2")
    assert of_book.arms == of_csv.arms
    assert of_book.choice.tolist() == of_csv.choice.tolist()
    with pytest.raises(BadVotesError, match="analysis convert"):
        read_votes(path)


def test_cells_are_the_texts_that_csv_would_hold_and_rows_keep_their_numbers() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5)
    rows = [[None, None], [None, "a", "b", "c"], [None, 7.0, True, when], [None, None], [None, 0.5, " x ", "=text"]]
    made = openpyxl.load_workbook(io.BytesIO(book(S=rows[:4])))
    for column, value in zip("BCD", rows[4][1:], strict=True):
        made["S"][f"{column}5"] = value
    made["S"]["D5"].data_type = "s"
    assert workbook_rows(saved(made), Faults("table.xlsx")) == [
        (2, ["a", "b", "c"]),
        (3, ["7", "true", "2026-01-02T03:04:05"]),
        (5, ["0.5", " x ", "=text"]),
    ]


def test_raters_come_as_a_workbook(tmp_path) -> None:
    path = tmp_path / "raters.xlsx"
    path.write_bytes(book(Raters=[["rater", "site", "minutes"], ["r1", "lab", 4.5], ["r2", "panel", 6]]))
    found = read_raters(path)
    assert found.minutes == (4.5, 6.0)
    assert found.values["r2"]["site"] == "panel"


def error_cell() -> bytes:
    made = openpyxl.Workbook()
    made.active.append(["rater", "n"])
    made.active["B2"] = "#DIV/0!"
    return saved(made)


def far_cell() -> bytes:
    """Return a workbook whose two cells span sixteen thousand million."""
    made = openpyxl.Workbook()
    made.active["A1"], made.active["XFD1048576"] = "a", "b"
    return saved(made)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (book(Votes=[["a"], ["1"]], Notes=[["by hand"]]), r"2 sheets \(Votes, Notes\); keep one"),
        (
            book(Votes=[["submission"], [6612345678901234567]]),
            "line 2: cell A2: Excel rounds .*format the column as text",
        ),
        (error_cell(), "line 2: cell B2: the formula gives #DIV/0!"),
        (book(Votes=[]), "empty"),
        (book(Votes=[["a", "a"], ["1", "2"]]), "the header names a twice"),
        (book(Votes=[["a", "b"], ["1", "2"]])[:-300], "damaged"),
        (zipped("[Content_Types].xml"), "damaged"),
        (zipped("vanilla/0.png"), "is a zip, not a workbook"),
        (zipped("mimetype", "content.xml"), "OpenDocument"),
        (zipped("[Content_Types].xml", "xl/workbook.bin"), "binary Excel"),
        (zipped("Index/Document.iwa"), "Numbers"),
    ],
)
def test_a_workbook_that_cannot_be_read_in_one_way_is_named_with_the_remedy(content: bytes, said: str) -> None:
    with pytest.raises(BadTableError, match=said):
        read_sheet(content, file="table.xlsx")


def test_cells_far_apart_take_no_memory_for_what_lies_between() -> None:
    assert len(workbook_rows(far_cell(), Faults("table.xlsx"))[0][1]) == 16384


def test_a_workbook_that_unpacks_into_too_much_is_refused_unread() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", b"x")
        with archive.open("xl/sharedStrings.xml", "w") as member:
            for _ in range(257):
                member.write(bytes(1024**2))
    with pytest.raises(BadTableError, match="257 MB unpacked"):
        read_sheet(buffer.getvalue(), file="table.xlsx")


@pytest.mark.parametrize("place", range(0, 4000, 97))
def test_a_damaged_workbook_is_read_or_refused_by_name(place: int) -> None:
    content = bytearray(book(Votes=VOTES))
    content[place % len(content)] ^= 0xFF
    with contextlib.suppress(BadTableError):
        assert read_sheet(bytes(content), file="table.xlsx").rows


def test_without_openpyxl_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(BadTableError, match=r"pip install 'blindpair\[report\]'"):
        read_sheet(book(Votes=VOTES), file="table.xlsx")
