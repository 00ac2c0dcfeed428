import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.sheets.faults import BadTableError
from analysis.sheets.sheet import read_sheet
from analysis.votes.foreign.reading import read_foreign_votes
from analysis.votes.reading import BadVotesError, read_votes

NAMES = ["rater", "pair", "arm_left", "arm_right", "choice"]
DISGUISES = {
    "commas": (",", "utf-8", b""),
    "semicolons": (";", "utf-8", b""),
    "tabs": ("\t", "utf-8", b""),
    "byte-order mark": (",", "utf-8", codecs.BOM_UTF8),
    "UTF-16": ("\t", "utf-16-le", codecs.BOM_UTF16_LE),
    "UTF-16, the other way": (";", "utf-16-be", codecs.BOM_UTF16_BE),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_in_every_disguise(disguise, end):
    delimiter, encoding, mark = DISGUISES[disguise]
    text = end.join(delimiter.join(row) for row in [[*NAMES], [" zoë ", "p1", "a", "b", "left"], ["", "", "", "", ""]])
    sheet = read_sheet(mark + text.encode(encoding), file="table.csv", wanted=NAMES)
    assert sheet.names == NAMES
    assert sheet.rows == [(2, [" zoë ", "p1", "a", "b", "left"])]
    assert [record["rater"] for _, record in sheet.records()] == ["zoë"]


@pytest.mark.parametrize("told", ["sep=|\r\n", '"sep=|"\n', "SEP=|\r"])
def test_the_line_that_tells_excel_the_separator_is_followed(told):
    sheet = read_sheet(f"{told}rater|pair\nr1|p1\n".encode(), file="table.csv")
    assert (sheet.names, sheet.rows) == (["rater", "pair"], [(3, ["r1", "p1"])])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "damaged zip or workbook"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
        (b"\x1f\x8brest", "gzip"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"a,b\n1,2\n\xff,3\n", "line 3: is not UTF-8"),
        ("a,b\n".encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        (b"a,b,a\n1,2,3\n", "the header names a twice"),
        (b"a,b\n1,2,3\n", "line 2: has 3 fields; the header has 2"),
        (b'a,b\n"1,2\n', "line 2: is not CSV"),
    ],
)
def test_what_is_no_table_is_named_with_the_remedy(content, said):
    with pytest.raises(BadTableError, match=said):
        read_sheet(content, file="table.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (";".join(NAMES).encode() + b"\nr;p;a;b;left\n", "separated by semicolons.*analysis convert"),
        ("\t".join(NAMES).encode() + b"\n", "separated by tabs"),
        (codecs.BOM_UTF16_LE + ",".join(NAMES).encode("utf-16-le"), "UTF-16; save it as UTF-8"),
        (b"PK\x03\x04\x14\x00", "analysis convert` reads Excel workbooks"),
        (b"<html><body>Sign in</body></html>", "web page"),
    ],
)
def test_a_votes_file_that_a_spreadsheet_touched_is_named_with_the_remedy(content, said, tmp_path):
    path = tmp_path / "votes.csv"
    path.write_bytes(content)
    with pytest.raises(BadVotesError, match=said):
        read_votes(path)


_CELLS = st.sampled_from(["r1", "r2", "p1", "a", "b", "left", "right", "tie", "A", "NaN", "", " ", "naïve", '"', "=1"])


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(_CELLS, min_size=4, max_size=6), max_size=6),
    disguise=st.sampled_from(list(DISGUISES)),
    names=st.sampled_from([NAMES, [*NAMES, "choice"], NAMES[:4], [f" {name} " for name in NAMES], ["x"] * 5]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_whatever_is_given_is_read_as_plain_cells_or_refused_by_name(tmp_path_factory, rows, disguise, names, end):
    """The reference is the cells that were written; a row that is one must come out as it went in."""
    delimiter, encoding, mark = DISGUISES[disguise]
    path = tmp_path_factory.mktemp("table") / "votes.csv"
    lines = [delimiter.join(cells) for cells in [names, *rows]]
    path.write_bytes(mark + end.join(lines).encode(encoding))
    good = [
        row
        for row in rows
        if len(row) == 5 and row[4] in ("left", "right", "tie") and row[2] != row[3] and all(c.strip() for c in row[:4])
    ]
    read, refused = None, ()
    try:
        read = read_foreign_votes(path, "table", spelling="keep", keep_copies=True)
    except BadVotesError as error:
        refused = error.bad_rows
    assert all(bad.file == "votes.csv" and bad.line >= 0 and bad.reason for bad in refused)
    if read is None:
        assert refused
        return
    assert len(read.table) <= len(rows)
    assert len(read.table) >= len([row for row in good if '"' not in row])
    with_names = zip(read.table.rater.tolist(), read.table.choice.tolist(), strict=True)
    found = [(read.table.raters[rater], ("left", "right", "tie")[choice]) for rater, choice in with_names]
    expected = [(row[0], row[4]) for row in good if '"' not in row]
    assert all(pair in found for pair in expected)


@pytest.mark.parametrize("content", ["<table><tr><td>rater", '[{"rater": 1}]', "rater,pair\n"])
def test_a_text_of_one_line_is_no_table_without_votes(content, tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(content)
    with pytest.raises(BadVotesError, match="no row below its header"):
        read_foreign_votes(path, "table")
    path.write_text(",".join(NAMES) + "\n")
    assert len(read_foreign_votes(path, "table").table) == 0


def test_our_own_table_that_a_spreadsheet_touched_keeps_its_names(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(";".join(NAMES) + "\nr1;p1;'=a;'+b;left\n")
    assert read_foreign_votes(path, "table").table.arms == ("+b", "=a")
    path = tmp_path / "votes.jsonl"
    path.write_text('{"rater": "r1", "pair": "p1", "arm_left": "\'=a", "arm_right": "b", "choice": "left"}\n')
    assert read_foreign_votes(path, "table").table.arms == ("'=a", "b")
