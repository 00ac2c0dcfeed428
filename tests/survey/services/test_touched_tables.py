"""Tables that a spreadsheet touched: every small table that people bring goes through one machine."""

import codecs

import pytest

from analysis.judges.scores import read_scores
from analysis.raters.table import read_raters
from survey.exceptions import BadPanelExport, ImportRefused
from survey.services.images.class_names import MOST_CLASS_BYTES, class_names_read
from survey.services.panel.reconciliation import panel_rows
from tests.analysis.sheets.test_workbook import book

DISGUISES = [(";", "utf-8", b""), ("\t", "utf-16-le", codecs.BOM_UTF16_LE), (",", "utf-8", codecs.BOM_UTF8), "Excel"]


def _bytes(rows, disguise):
    if disguise == "Excel":
        return book(Sheet1=rows)
    delimiter, encoding, mark = disguise
    return mark + "\r\n".join(delimiter.join(row) for row in rows).encode(encoding)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_table_is_read_in_every_disguise(disguise, tmp_path):
    names = class_names_read(_bytes([["class_label", "class_name"], ["n01 ", "Schleie "], ["", ""]], disguise))
    assert names == {"n01": "Schleie"}
    assert class_names_read(_bytes([["n01", "Schleie"]], disguise)) == {"n01": "Schleie"}
    assert class_names_read(_bytes([["Class_Name", "class_label"], ["Schleie", "n01"]], disguise)) == {"n01": "Schleie"}
    (row,) = panel_rows(_bytes([["Submission id", "Status"], ["s1 ", "APPROVED"]], disguise))
    assert (row.submission, row.status) == ("s1", "APPROVED")
    path = tmp_path / "raters.csv"
    path.write_bytes(_bytes([["rater", "site"], ["r1", "lab"]], disguise))
    assert read_raters(path).values == {"r1": {"site": "lab"}}
    path.write_bytes(_bytes([["scorer", "pair", "arm", "score"], ["clip ", "'=p1", " a", " 0.5"]], disguise))
    assert read_scores(path).scores == {("clip", "=p1", "a"): 0.5}


def test_a_damaged_workbook_is_named_wherever_it_is_brought(tmp_path):
    workbook = b"PK\x03\x04and more"
    with pytest.raises(ImportRefused, match="workbook"):
        class_names_read(workbook)
    with pytest.raises(BadPanelExport, match="workbook"):
        panel_rows(workbook)
    path = tmp_path / "raters.csv"
    path.write_bytes(workbook)
    for read in (read_raters, read_scores):
        with pytest.raises(ValueError, match="workbook"):
            read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"n01,Schleie\nn02,Hai\nn01,Hecht\n", "line 3: n01 has the name Schleie already"),
        (b"n01,Schleie\nn02,\n", "line 2: expected class_label,class_name"),
        (b"n01,Schleie\n" * (MOST_CLASS_BYTES // 12 + 1), "larger than 4 MB"),
    ],
)
def test_class_names_that_would_be_cut_or_overwritten_are_refused(content, said):
    with pytest.raises(ImportRefused, match=said):
        class_names_read(content)


def test_bad_rows_are_listed_up_to_twenty_of_a_kind_and_all_counted():
    names = b"n01,Schleie\n" + b"n01,Hecht\nn02,Hai,Fisch\n" * 25
    with pytest.raises(ImportRefused) as refused:
        class_names_read(names)
    assert len(refused.value.problems) == 42
    assert refused.value.problems[-1] == "class names: 5 more rows like line 41"
    export = b"Submission id,Status\n" + b",APPROVED\n" * 25 + b"s" * 201 + b",APPROVED\n"
    with pytest.raises(BadPanelExport) as unread:
        panel_rows(export)
    said = str(unread.value).split("; ")
    assert sum("Submission id is empty" in text for text in said) == 20
    assert "the panel's list, line 27: Submission id has 201 characters" in str(unread.value)
    assert said[-1] == "the panel's list: 5 more rows like line 21"
