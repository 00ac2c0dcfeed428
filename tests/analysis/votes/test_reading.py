import json
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.report.content.data import table_sha256
from analysis.votes.columns import REQUIRED
from analysis.votes.reading import BadVotesError, read_votes, votes_from_rows
from analysis.votes.table import LEFT, RIGHT, TIE
from analysis.votes.writing import write_votes
from tests.analysis.vote_rows import study_rows, vote_row

HEADER = "rater,pair,arm_left,arm_right,choice\n"


def _csv(tmp_path, text, name="votes.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _bad(path):
    with pytest.raises(BadVotesError) as caught:
        read_votes(path)
    return [(bad.line, bad.column, bad.reason) for bad in caught.value.bad_rows]


def test_the_five_required_columns_suffice(tmp_path):
    read = read_votes(_csv(tmp_path, HEADER + "r2,p1,a,b,left\nr1,p2,b,a,right\nr1,p1,a,b,tie\n"))
    table = read.table
    assert (table.raters, table.pairs, table.arms) == (("r1", "r2"), ("p1", "p2"), ("a", "b"))
    assert table.rater.tolist() == [1, 0, 0]
    assert table.pair.tolist() == [0, 1, 0]
    assert table.choice.tolist() == [LEFT, RIGHT, TIE]
    assert table.arm_left.tolist() == [0, 1, 0]
    assert table.comparison("a", "b").score.tolist() == [1.0, 1.0, 0.5]
    assert not table.extra
    assert read.rows == 3


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_five_required_columns_suffice_in_every_format(tmp_path, suffix):
    rows = [{name: row[name] for name in REQUIRED} for row in (*study_rows(raters=3), vote_row(900, choice="tie"))]
    path = tmp_path / f"votes.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        _write_texts(rows, path)
    read = read_votes(path)
    assert len(read.table) == len(rows)
    assert not read.table.extra
    assert not read.ignored_columns
    assert table_sha256(read.table) == table_sha256(votes_from_rows(rows).table)


def test_a_column_that_only_later_rows_name_is_blank_before_them(monkeypatch):
    monkeypatch.setattr("analysis.votes.files.jsonl_file.BLOCK_ROWS", 2)
    bare = [{name: vote_row(number)[name] for name in REQUIRED} for number in range(5)]
    table = votes_from_rows([*bare, vote_row(7, check_kind="repeat", is_repeat=True)]).table
    assert table.extra["class_label"].tolist() == ["", "", "", "", "", "7"]
    assert table.extra["check_kind"].tolist() == ["", "", "", "", "", "repeat"]
    assert table.extra["is_repeat"].tolist() == [False] * 5 + [True]
    assert np.isnan(table.extra["response_ms"][:5]).all()
    assert np.isnat(table.extra["submitted_at"][:5]).all()
    with pytest.raises(BadVotesError) as caught:
        votes_from_rows([vote_row(1), vote_row(2), *bare])
    # From the row on that names the chosen arm, a vote without one says that it was a tie.
    assert [(bad.line, bad.column) for bad in caught.value.bad_rows] == [(n, "choice_arm") for n in range(3, 8)]


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_required_column_is_named(tmp_path, missing):
    names = [name for name in REQUIRED if name != missing]
    ((line, column, reason),) = _bad(_csv(tmp_path, ",".join(names) + "\n"))
    assert (line, column) == (1, missing)
    assert names[0] in reason


def test_a_semicolon_file_is_refused_with_the_remedy(tmp_path):
    ((_, _, reason),) = _bad(_csv(tmp_path, HEADER.replace(",", ";") + "r;p;a;b;left\n"))
    assert "separate the columns by commas" in reason


@pytest.mark.parametrize(
    ("changes", "column", "said"),
    [
        ({"choice": "middle"}, "choice", "'middle' is not one of left, right, tie"),
        ({"choice": ""}, "choice", "''"),
        ({"rater": ""}, "rater", "empty"),
        ({"pair": "  "}, "pair", "empty"),
        ({"arm_right": "robust", "choice_arm": "robust"}, "arm_right", "also arm_left"),
        ({"choice_arm": "vanilla"}, "choice_arm", "not the arm that choice 'left' names"),
        ({"choice_arm": "elsewhere"}, "choice_arm", "'elsewhere'"),
        ({"response_ms": "fast"}, "response_ms", "'fast' is not a number"),
        ({"response_ms": "-1"}, "response_ms", "at least 0"),
        ({"response_ms": "nan"}, "response_ms", "'nan'"),
        ({"position": "0"}, "position", "at least 1"),
        ({"excluded": "perhaps"}, "excluded", "'perhaps'"),
        ({"check_kind": "trap"}, "check_kind", "'trap'"),
        ({"submitted_at": "yesterday"}, "submitted_at", "ISO 8601"),
        ({"submitted_at": "2026-11-10T10:00:00"}, "submitted_at", "zone"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_bad_value_is_reported_with_line_column_and_reason(tmp_path, suffix, changes, column, said):
    good = [vote_row(1), vote_row(2)]
    path = tmp_path / f"votes.{suffix}"
    _write_texts([*good, vote_row(3, **changes), vote_row(4)], path)
    ((line, at, reason),) = _bad(path)
    assert (line, at) == (4 if suffix == "csv" else 3, column)
    assert said in reason
    read = read_votes(path, skip_bad_rows=True)
    assert len(read.table) == 3
    assert read.bad_row_counts == {column: 1}
    assert "r003" not in read.table.raters


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"choice": "Left "}, "; write left"),
        ({"choice": "A"}, "; say what it means with --answer a=left"),
        ({"choice": "NaN"}, "; a row without an answer is no vote"),
        ({"rater": "NaN"}, "is NaN, nothing; every vote needs one"),
        ({"arm_left": "<NA>"}, "is <NA>, nothing; every vote needs one"),
        ({"rater": "1.23457E+17"}, "is a number that a spreadsheet rounded (1.23457E+17)"),
        ({"pair": "1,23457E+17"}, "is a number that a spreadsheet rounded (1,23457E+17)"),
        ({"rater": "1.2345678901234566e+17"}, "so several may have become one"),
        ({"pair": "2026-12-03T00:00:00"}, "is a date that a spreadsheet made of something else"),
        ({"arm_right": "#NAME?"}, "is #NAME?, the error of a formula"),
        ({"rater": "#DIV/0!"}, "is #DIV/0!, the error of a formula"),
        ({"check_kind": "nan"}, "; leave the cell empty"),
        ({"excluded": "NA"}, "; leave the cell empty"),
        ({"response_ms": "nan"}, "; leave the cell empty"),
        ({"response_ms": "1250,5"}, "; write a decimal point"),
        ({"response_ms": "-3,5"}, "; write a decimal point"),
        ({"response_ms": "1.250,5"}, "; write a decimal point, and nothing between thousands"),
    ],
)
def test_what_spreadsheets_and_data_frames_write_is_refused_with_the_remedy(changes, remedy):
    with pytest.raises(BadVotesError) as caught:
        votes_from_rows([vote_row(1), vote_row(2, **changes)])
    (bad,) = caught.value.bad_rows
    assert re.search(rf"{re.escape(remedy)}(?!\w)", bad.reason)


def _write_texts(rows, path):
    """Write rows as they are, bad values included; the real writer would refuse or repair some."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    lines = [",".join(rows[0])]
    for row in rows:
        cells = ("true" if v is True else "false" if v is False else str(v) for v in row.values())
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n")


def test_one_arm_on_both_sides_is_good_in_an_identical_check_only(tmp_path):
    row = vote_row(1, arm_right="robust", choice="tie", choice_arm="")
    assert len(votes_from_rows([{**row, "check_kind": "identical"}]).table) == 1
    with pytest.raises(BadVotesError):
        votes_from_rows([{**row, "check_kind": "degraded"}])


def test_a_second_vote_on_a_trial_by_the_same_rater_is_bad_and_the_first_stays():
    rows = [vote_row(1), vote_row(2), vote_row(1, choice="right", choice_arm="vanilla"), vote_row(3, trial="t000002")]
    with pytest.raises(BadVotesError) as caught:
        votes_from_rows(rows)
    assert [(bad.line, bad.column) for bad in caught.value.bad_rows] == [(3, "trial")]
    read = votes_from_rows(rows, skip_bad_rows=True)
    assert len(read.table) == 3
    assert read.table.choice.tolist() == [LEFT, LEFT, LEFT]


def test_rows_without_a_trial_are_kept_where_copies_are_meant():
    twice = [vote_row(1, trial=""), vote_row(1, trial="")]
    assert len(votes_from_rows(twice, keep_copies=True).table) == 2


def test_bom_crlf_quotes_blank_lines_and_unicode_are_read(tmp_path):
    text = (
        HEADER.replace("\n", "\r\n")
        + '"r,1",p1,"naïve ""x""",数字,left\r\n\r\n"line\r\nbreak",p1,数字,"naïve ""x""",tie\r\n'
    )
    read = read_votes(_csv(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert read.table.arms == ('naïve "x"', "数字")
    assert set(read.table.raters) == {"r,1", "line\r\nbreak"}
    assert read.rows == 2


def test_lines_are_counted_through_quoted_line_breaks(tmp_path):
    text = HEADER + '"two\nlines",p1,a,b,left\n\nr2,p1,a,b,nope\n'
    assert [line for line, _, _ in _bad(_csv(tmp_path, text))] == [5]


def test_bytes_that_are_not_utf8_are_reported_on_their_line(tmp_path):
    path = _csv(tmp_path, HEADER.encode() + b"r1,p1,a,b,left\nr\xff,p1,a,b,left\nr2,p1,a,b,\xe9\n")
    assert [(line, column) for line, column, _ in _bad(path)] == [(3, "rater"), (4, "choice")]


def test_a_row_with_missing_fields_and_a_broken_quote_are_reported(tmp_path):
    path = _csv(tmp_path, HEADER + 'r1,p1,a,b\nr2,"p"1,a,b,left\nr3,p1,a,b,left\n')
    bad = _bad(path)
    assert [line for line, _, _ in bad] == [2, 3]
    assert "4 fields" in bad[0][2]
    assert "quote" in bad[1][2]
    assert read_votes(path, skip_bad_rows=True).table.raters == ("r3",)


def test_a_quote_that_never_closes_does_not_swallow_the_file_in_silence(tmp_path):
    path = _csv(tmp_path, HEADER + 'r1,p1,a,b,left\nr2,"p1,a,b,left\nr3,p1,a,b,left\n')
    assert [line for line, _, _ in _bad(path)] == [3]


def test_empty_files_and_unknown_suffixes_are_refused(tmp_path):
    assert "needs a header" in _bad(_csv(tmp_path, ""))[0][2]
    assert ".parquet" in _bad(_csv(tmp_path, HEADER, "votes.xlsx"))[0][2]
    assert "not Parquet" in _bad(_csv(tmp_path, HEADER, "votes.parquet"))[0][2]


def test_a_header_without_votes_is_an_empty_table(tmp_path):
    read = read_votes(_csv(tmp_path, HEADER))
    assert len(read.table) == 0
    assert read.table.raters == ()


def test_jsonl_reports_lines_that_are_no_object(tmp_path):
    path = _csv(tmp_path, '{"rater": "r"\n\n[1]\n' + json.dumps(vote_row(1)) + "\n", "votes.jsonl")
    assert [line for line, _, _ in _bad(path)] == [1, 3]
    read = read_votes(path, skip_bad_rows=True)
    assert (len(read.table), read.rows) == (1, 3)


def test_the_three_formats_give_the_same_table(tmp_path):
    write_votes(study_rows(), tmp_path)
    csv, jsonl, parquet = (read_votes(tmp_path / f"votes.{kind}").table for kind in ("csv", "jsonl", "parquet"))
    for other in (jsonl, parquet):
        assert (other.raters, other.pairs, other.arms) == (csv.raters, csv.pairs, csv.arms)
        for name in ("rater", "pair", "arm_left", "arm_right", "choice"):
            assert np.array_equal(getattr(other, name), getattr(csv, name))
        assert other.extra.keys() == csv.extra.keys()
        for name, values in csv.extra.items():
            assert values.dtype == other.extra[name].dtype
            assert np.array_equal(values, other.extra[name])


def test_labels_do_not_depend_on_the_order_of_rows():
    rows = list(study_rows(raters=4, pairs=6, per_rater=6))
    forward, backward = votes_from_rows(rows).table, votes_from_rows(rows[::-1]).table
    assert forward.raters == backward.raters
    assert np.array_equal(forward.rater, backward.rater[::-1])
    assert np.array_equal(forward.arm_left, backward.arm_left[::-1])


def test_times_are_read_to_utc_whatever_their_zone():
    times = votes_from_rows(
        [vote_row(1, submitted_at="2026-11-10T12:00:00+02:00"), vote_row(2, submitted_at=""), vote_row(3)]
    ).table.extra["submitted_at"]
    assert times[0] == np.datetime64("2026-11-10T10:00:00")
    assert np.isnat(times[1])
    assert times[2] == np.datetime64("2026-11-10T10:00:00.250")


def test_unknown_columns_are_named_not_used(tmp_path):
    read = read_votes(_csv(tmp_path, HEADER.strip() + ",mood\nr,p,a,b,left,fine\n"))
    assert read.ignored_columns == ("mood",)


def test_memory_stays_a_few_bytes_a_vote():
    def rows(count):
        return (vote_row(1, rater=f"r{i % 50}", trial=f"trial-{i}", class_label="x" * 200) for i in range(count))

    tracemalloc.start()
    table = votes_from_rows(rows(150_000)).table
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == 150_000
    assert held < 200 * 150_000
    # One block of rows stands as Python objects on top of the arrays, however long the file.
    assert peak < held + 65_536 * 6_000


def test_reading_needs_no_optional_library():
    code = (
        "import sys, analysis.votes.reading, analysis.report\n"
        "print(sorted({'pyarrow', 'matplotlib', 'typst', 'django', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_very_many_bad_rows_are_counted_but_not_all_kept(monkeypatch):
    monkeypatch.setattr("analysis.sheets.faults.MOST_LISTED", 10)
    with pytest.raises(BadVotesError, match="250 bad row") as caught:
        votes_from_rows(vote_row(number, choice="up") for number in range(250))
    assert (len(caught.value.bad_rows), caught.value.total) == (10, 250)
    assert caught.value.unlisted == ("rows: 240 more rows like line 10",)
    read = votes_from_rows((vote_row(number, choice="up") for number in range(250)), skip_bad_rows=True)
    assert read.bad_row_counts == {"choice": 250}
