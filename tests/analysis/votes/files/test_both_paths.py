"""Whatever a file of votes holds, pyarrow's path and Python's give the same table or the same complaints."""

import json
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis.votes.reading import BadVotesError, read_votes
from tests.analysis.vote_rows import study_rows, vote_row

NAMES = list(vote_row())
# What people and programs put into cells, good and bad, and what two readers of numbers and times may see otherwise.
_TEXTS = [
    "",
    " ",
    "r1",
    "r2",
    "a",
    "b",
    "left",
    "right",
    "tie",
    "Left",
    "naïve",
    "数字",
    "'=x",
    "=x",
    "''",
    "\x00",
    "a" * 99,
]
_NUMBERS = ["1", "1.5", "+1", " 1", "1_0", "١", "nan", "inf", "1e400", "-1", "0", ".5", "0x1", "9007199254740993"]
_TIMES = [
    *("2026-11-10T10:00:00Z", "2026-11-10T10:00:00.250Z", "2026-11-10T10:00:00+00:00", "2026-11-10T12:00:00+02:00"),
    *("2026-02-30T10:00:00Z", "0000-01-01T00:00:00Z", "2026-11-10 10:00:00Z", "2026-11-10", "2026Z", "todayZ", "NaTZ"),
    *("2026-11-10T10:00:00.123456Z", "2026-11-10T10:00:00", "2026-11-10T24:00:00Z", "9999-12-31T23:59:59-05:00"),
]
_RAW = ['"', '""', '"a"', '"a,b"', '"a""b"', 'a"b', '"a"b', '"a\nb"', '"\r\n"', ' "a"', "\r", "\ufeff"]
_OTHERS = ["true", "false", "True", "1", "0", "identical", "repeat", "practice"]


def _cell(name):
    good = st.just(str(vote_row().get(name, "calm")).replace("False", "false"))
    odd = st.sampled_from(_TEXTS + _NUMBERS + _TIMES + _RAW + _OTHERS)
    return st.one_of(good, good, good, odd)


@st.composite
def _csv_files(draw):
    names = [*NAMES[2:6], *NAMES[8:11], *draw(st.lists(st.sampled_from(NAMES), unique=True)), "mood"]
    names = list(dict.fromkeys(names))
    rows = draw(st.lists(st.tuples(*map(_cell, names)), max_size=8))
    lines = [",".join(row) for row in rows]
    for junk in draw(st.lists(st.sampled_from(["", " ", ",", "x", "a,b", '"', "\ufeff", ",,,,,,,,,"]), max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), junk)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = (end.join([",".join(names), *lines]) + draw(st.sampled_from([end, ""]))).encode()
    if draw(st.booleans()):
        return text
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(st.sampled_from([b"\xff", b"\xc3", b'"', b"\r", b"\xef\xbb\xbf"])) + text[place:]


_JSON_VALUES = st.one_of(
    st.sampled_from([*_TEXTS, *_NUMBERS, *_TIMES, *_OTHERS, "\ud800", "\t"]),
    st.sampled_from([None, True, False, 0, -1, 1.5, -1.5, 1e300, 10**30, float("nan"), [], [1], {}, {"a": 1}]),
)


@st.composite
def _json_files(draw):
    lines = []
    for number in range(draw(st.integers(0, 8))):
        row = vote_row(number % 3, trial=draw(st.sampled_from([f"t{number}", f"t{number % 2}", 7, ""])))
        names = draw(st.lists(st.sampled_from([*NAMES, "mood"]), max_size=3))
        for name in names:
            row[name] = draw(_JSON_VALUES)
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
            row.pop(name, None)
        lines.append(json.dumps(row, ensure_ascii=draw(st.booleans())))
    junk = ["", " ", "[]", "1", '{"a":1}{"a":2}', '{"a":', "1}", '{"a":1,"a":2}', "{}", "\ufeff{}", '{"a":01}', "nul"]
    for text in draw(st.lists(st.sampled_from(junk), max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), text)
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    data = (end.join(lines) + draw(st.sampled_from([end, ""]))).encode("utf-8", "surrogatepass")
    return data.replace(b"left", b"l\xe9ft") if draw(st.integers(0, 9)) == 0 else data


def _outcome(path):
    try:
        read = read_votes(path, skip_bad_rows=True)
    except BadVotesError as error:
        return [str(bad) for bad in error.bad_rows]
    table = read.table
    codes = [getattr(table, name) for name in ("rater", "pair", "arm_left", "arm_right", "choice")]
    columns = [*codes, *(table.extra[name] for name in sorted(table.extra))]
    return (
        *(table.raters, table.pairs, table.arms, sorted(table.extra)),
        [(str(column.dtype), column.tolist() if column.dtype == object else column.tobytes()) for column in columns],
        *(read.rows, read.bad_row_counts, [str(bad) for bad in read.bad_rows], read.ignored_columns, read.sha256),
    )


@contextmanager
def _path(*, is_fast, block_bytes=None, block_rows=None):
    with (
        mock.patch("analysis.votes.files.progress.LEAST_FAST_BYTES", 0 if is_fast else 1 << 60),
        mock.patch("analysis.votes.files.blocks.BLOCK_BYTES", block_bytes or 4 << 20),
        mock.patch("analysis.votes.files.csv_file.BLOCK_ROWS", block_rows or 65_536),
        mock.patch("analysis.votes.files.jsonl_file.BLOCK_ROWS", block_rows or 65_536),
    ):
        yield


def _same(path):
    with _path(is_fast=False):
        plain = _outcome(path)
    with _path(is_fast=False, block_bytes=100, block_rows=2):
        assert _outcome(path) == plain
    for block_bytes in (None, 400, 1):
        with _path(is_fast=True, block_bytes=block_bytes):
            assert _outcome(path) == plain


_FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@_FUZZ
@given(_csv_files())
@example(b"rater,pair,arm_left,arm_right,choice\n\xef\xbb\xbfr,p,a,b,left\n")
@example(b'rater,pair,arm_left,arm_right,choice\n"r,p,a,b,left\nr,p,a,b,left\n')
@example(b'rater,pair,arm_left,arm_right,choice\r"r",p,a,b,left\r')
@example(b"rater,pair,arm_left,arm_right,choice\n\xff\nr,p,a,b,left\n")
@example(b"rater,pair,arm_left,arm_right,choice,trial\nr,p,a,b,left,t\n\nr,p,a,b,left\nr,p,a,b,left,t")
def test_csv_is_read_alike(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("csv") / "votes.csv"
    path.write_bytes(data)
    _same(path)


@_FUZZ
@given(_json_files())
def test_json_lines_are_read_alike(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("jsonl") / "votes.jsonl"
    path.write_bytes(data)
    _same(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_plain_blocks_do_go_through_pyarrow(tmp_path, suffix, monkeypatch):
    """Without this the tests above could compare Python's path with itself."""
    from analysis.votes.files import csv_file, jsonl_file
    from analysis.votes.writing import write_votes

    write_votes(study_rows(), tmp_path, formats=[suffix])

    def refuse(*arguments, **named):
        raise AssertionError("Python's reader was asked")

    monkeypatch.setattr(csv_file._Reading, "slowly", refuse)
    monkeypatch.setattr(jsonl_file, "gather_mappings", refuse)
    with _path(is_fast=True, block_bytes=2000):
        assert len(read_votes(tmp_path / f"votes.{suffix}").table) == 288


def test_a_quoted_block_goes_through_pyarrow_too():
    from analysis.votes.files.arrow_csv import csv_block

    block = b'"r,1","a ""quoted"" arm",""\n"x",y,z\n\n"too","few"\n'
    found = csv_block(block, 3, {"rater": 0, "arm_left": 1, "trial": 2})
    assert [found.columns["arm_left"].at(row) for row in range(2)] == ['a "quoted" arm', "y"]
    assert (list(found.lines), found.misfits, found.line_count) == ([1, 2], [(4, 2)], 4)
    for spanning in (b'"a\nb",c,d\n', b'a"b,c,d"\n', b'"a" ,b,c\n', b'"a,b,c\n', b"a\rb,c,d\n"):
        assert csv_block(spanning, 3, {"rater": 0}) is None


def test_fingerprints_tell_texts_apart_and_agree_between_both_kinds_of_texts():
    import pyarrow as pa

    from analysis.votes.coded import Texts
    from analysis.votes.files.arrow_texts import ArrowTexts

    texts = [
        "",
        "\x00",
        "\x00\x00",
        "a",
        "a\x00",
        "12345678",
        "12345678\x00",
        "é",
        *(f"trial-{n:012d}" for n in range(2000)),
    ]
    plain, arrow = Texts(texts).fingerprints(), ArrowTexts(pa.array(texts)).fingerprints()
    sliced = ArrowTexts(pa.array(["before", *texts])[1:]).fingerprints()
    for ours, theirs, cut in zip(plain, arrow, sliced, strict=True):
        assert np.array_equal(ours, theirs)
        assert np.array_equal(ours, cut)
        assert len(set(ours.tolist())) == len(texts)
        assert np.flatnonzero(ours == 0).tolist() == [0]
