"""Whatever a file of votes holds, pyarrow's path and Python's give the same table or the same complaints."""

import json
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analysis.votes.reading import BadVotesError, read_votes, votes_from_rows
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


# How JSON may spell a value where another spelling is no JSON, or no number of a vote.
_SPELT = st.sampled_from(
    [
        *(
            '"a"',
            '"\\u0061"',
            '"a\\"b"',
            '"\\\\"',
            '"a,b"',
            '"a:b"',
            '"{"',
            '"null"',
            '"é"',
            '"\\ud800"',
            '"\t"',
            '""',
            "''",
        ),
        *("null", "true", "false", "NaN", "Infinity", "[]", "{}", "nul", "", " null ", "None", "[1"),
        *("1", "12", "1.5", "10.25", "1e2", "1E+2", "1e-2", "-0", "0", "0.5", "-1", "007", "1.", "1.e5", ".5", "1.5.5"),
        *("+1", "1_0", "0x1", "1e400", "9007199254740993", "1 ", " 2", "\t3", "1 2", "inf", '"2.5"', "١", "1" * 400),
    ]
)


@st.composite
def _shaped_json_files(draw):
    """Rows that name the same columns in the same order, with a cell or two that are odd."""
    names = [*NAMES, "mood"] if draw(st.booleans()) else draw(st.permutations(NAMES))
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]))
    rows = []
    for number in range(draw(st.integers(1, 8))):
        row = vote_row(number % 3, trial=f"t{number}", mood="calm")
        cells = {name: json.dumps(row[name], ensure_ascii=False) for name in names}
        rows.append(cells)
    for name in draw(st.lists(st.sampled_from(names), max_size=2)):
        # All of a column may be odd, or one cell of it.
        odd = draw(_SPELT)
        for cells in rows if draw(st.booleans()) else [draw(st.sampled_from(rows))]:
            cells[name] = odd
    lines = ["{" + comma.join(f'"{name}"{colon}{value}' for name, value in cells.items()) + "}" for cells in rows]
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(lines) - 1))
        old, new = draw(
            st.sampled_from([('"mood"', '"moon"'), ('"seed"', '"pair"'), ("{", ""), ("}", ""), ("}", "}}"), (":", "")])
        )
        lines[place] = lines[place].replace(old, new, 1)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r", " \n"]))
    return (end.join(lines) + draw(st.sampled_from([end, "", "\n"]))).encode("utf-8", "surrogatepass")


def _outcome(path, rows=None):
    try:
        if rows is None:
            read = read_votes(path, skip_bad_rows=True)
        else:
            read = votes_from_rows(rows, source=path.name, skip_bad_rows=True)
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
@example(b'rater,pair,arm_left,arm_right,choice,trial\r\nr,p,a,b,left,"\r\n"\r\nr,p,a,b,left,t\r\nr,p,a,b,left,t\r\n')
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


@_FUZZ
@given(_shaped_json_files())
@example(b'{"rater":"r","pair":"p","arm_left":"a","arm_right":"b","choice":"left","trial":"}\n' * 2)
@example(b'{"rater":"r","pair":"p","arm_left":"a","arm_right":"b","choice":"left","position":1}}\n' * 2)
@example(b'{"rater":"r","pair":"p","arm_left":"a","arm_right":"b","choice":"left","trial":"t"\n' * 2)
def test_json_lines_of_one_shape_are_read_alike(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("jsonl") / "votes.jsonl"
    path.write_bytes(data)
    _same(path)


def _arrow_columns():
    """What Parquet may hold in a column, by the kinds that writers choose; null among all of them."""
    import pyarrow as pa

    texts = st.sampled_from(
        ["", " ", "a", "b", "r1", "left", "right", "tie", "true", "1", "1.5", "nan", "naïve", *_TIMES]
    )
    whole = st.sampled_from([0, 1, 2, 3, 100, -1])
    moments = st.sampled_from([datetime(2026, 11, 10, 10, 0, 0, 250_000), datetime(1, 1, 1), datetime(9999, 12, 31)])
    return {
        pa.string(): texts,
        pa.dictionary(pa.int32(), pa.string()): texts,
        pa.int64(): st.one_of(whole, st.sampled_from([9007199254740993, -(1 << 63)])),
        pa.int8(): whole,
        pa.uint64(): st.sampled_from([0, 1, (1 << 64) - 1]),
        pa.float64(): st.sampled_from([0.0, 1.0, 1.5, -1.0, 1e300, float("inf"), float("nan")]),
        pa.bool_(): st.booleans(),
        pa.timestamp("ms", "UTC"): moments.map(lambda moment: moment.replace(tzinfo=UTC)),
        pa.timestamp("us"): moments,
    }


@st.composite
def _parquet_tables(draw):
    import pyarrow as pa

    kinds, count = _arrow_columns(), draw(st.integers(1, 8))
    rows = [vote_row(number % 3, trial=f"t{number}") for number in range(count)]
    columns = {name: pa.array([row[name] for row in rows]) for name in NAMES}
    moments = [datetime.fromisoformat(row["submitted_at"]) for row in rows]
    columns["submitted_at"] = pa.array(moments, pa.timestamp("ms", "UTC"))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        kind = draw(st.sampled_from(list(kinds)))
        values = draw(st.lists(st.one_of(st.none(), kinds[kind]), min_size=count, max_size=count))
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


@_FUZZ
@given(_parquet_tables(), st.integers(1, 8))
def test_parquet_is_read_as_its_rows_are(tmp_path_factory, table, group):
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("parquet") / "votes.parquet"
    pq.write_table(table, path, row_group_size=group)
    plain = _outcome(path, pq.read_table(path).to_pylist())
    for block_rows in (65_536, 2):
        with mock.patch("analysis.votes.files.parquet_file.BLOCK_ROWS", block_rows):
            # Rows in memory have no file to hash, which comes last.
            assert _outcome(path)[:-1] == plain[:-1]


@pytest.mark.parametrize("cut", [slice(None), slice(3, None), slice(2, 11), slice(9, 9)])
def test_buffers_hold_what_arrow_says(cut):
    import pyarrow as pa

    from analysis.votes.files import arrow_buffers as buffers

    numbers = pa.array([1, None, -3, None, 5, 6, None, 8, 9, None, 11, 12])[cut]
    is_given = [value is not None for value in numbers.to_pylist()]
    assert buffers.given_rows(numbers).tolist() == is_given
    assert (
        buffers.numbers_of(numbers, "int64")[np.array(is_given, dtype=bool)].tolist() == numbers.drop_null().to_pylist()
    )
    assert buffers.truths(numbers.is_valid()).tolist() == is_given
    assert buffers.mask_array(np.array(is_given, dtype=bool)).to_pylist() == is_given
    texts = pa.array(["", "a", "bc", "é", "", "数字", "=", "x", "yy", "", "zzz", "-"])[cut]
    assert buffers.text_bytes(texts).tobytes() == "".join(texts.to_pylist()).encode()
    lengths = [len(text.encode()) for text in texts.to_pylist()]
    assert np.diff(buffers.byte_offsets(texts)).tolist() == lengths
    rows = np.array([True, False] * len(texts), dtype=bool)
    assert buffers.spread_texts(texts, rows).to_pylist() == [part for text in texts.to_pylist() for part in (text, "")]
    assert buffers.blank_texts(len(texts)).to_pylist() == [""] * len(texts)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_large_files_are_read_without_pandas(tmp_path, suffix):
    """Arrow imports pandas in many of its conversions, which takes longer than reading does."""
    from analysis.votes.writing import write_votes

    rows = [vote_row(number % 40, trial=f"t{number}", session=None if number % 7 else "s") for number in range(4000)]
    write_votes(rows, tmp_path, formats=[suffix])
    script = (
        "import sys; from analysis.votes.reading import read_votes; import analysis.votes.files.progress as progress;"
        f"progress.LEAST_FAST_BYTES = 0; read_votes({str(tmp_path / f'votes.{suffix}')!r}, keep_copies=True);"
        "assert 'pyarrow' in sys.modules; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_plain_blocks_do_go_through_pyarrow(tmp_path, suffix, monkeypatch):
    """Without this the tests above could compare Python's path with itself."""
    from analysis.votes.files import arrow_json, csv_file, jsonl_file
    from analysis.votes.writing import write_votes

    write_votes(study_rows(), tmp_path, formats=[suffix])

    def refuse(*arguments, **named):
        raise AssertionError("Python's reader was asked")

    monkeypatch.setattr(csv_file._Reading, "slowly", refuse)
    monkeypatch.setattr(jsonl_file, "gather_mappings", refuse)
    monkeypatch.setattr(arrow_json, "_of_any_shape", refuse)
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
