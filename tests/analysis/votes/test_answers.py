"""What votes hold beyond the choice, read alike from every format, and bad values named."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.votes.columns import ANSWER_COLUMNS, VOTE_COLUMNS, column
from analysis.votes.reading import BadVotesError, read_votes, votes_from_rows
from analysis.votes.selection import select_votes
from analysis.votes.writing import write_table
from tests.analysis.vote_rows import study_rows

ANSWERS = {
    "left": {"acceptable": "both", "strength": 3, "reasons": "anatomy|colour"},
    "right": {"acceptable": "right", "strength": 1, "reasons": ""},
    "tie": {"acceptable": "neither", "strength": None, "reasons": "colour"},
}


def rows() -> list[dict]:
    return [row | ANSWERS[row["choice"]] for row in study_rows(raters=4)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same_answers(tmp_path, suffix: str) -> None:
    write_table(rows(), tmp_path, columns=(*VOTE_COLUMNS, *ANSWER_COLUMNS), name="votes", formats=[suffix])
    extra = read_votes(tmp_path / f"votes.{suffix}").table.extra
    expected = votes_from_rows(rows()).table.extra
    for name in ("acceptable", "reasons"):
        assert extra[name].tolist() == expected[name].tolist() == [row[name] for row in rows()]
    assert np.array_equal(extra["strength"], expected["strength"], equal_nan=True)
    assert np.isnan(extra["strength"]).sum() == sum(row["choice"] == "tie" for row in rows())


def test_the_votes_that_count_keep_their_answers() -> None:
    table = votes_from_rows(rows()).table
    assert {"acceptable", "strength", "reasons"} <= set(select_votes(table).table.extra)
    assert not {"acceptable", "strength", "reasons"} & set(
        select_votes(votes_from_rows(study_rows()).table).table.extra
    )


@pytest.mark.parametrize(
    ("choice", "changes", "name", "said"),
    [
        ("left", {"acceptable": "all"}, "acceptable", "'all' is not one of empty, both, left, right, neither"),
        ("left", {"strength": 0}, "strength", "is not a number of at least 1"),
        ("left", {"strength": "much"}, "strength", "is not a number of at least 1"),
        ("left", {"strength": 1.5}, "strength", "is no whole grade"),
        ("tie", {"strength": 2}, "strength", "stands beside a tie"),
    ],
)
def test_bad_answers_are_named_with_their_row(choice: str, changes: dict, name: str, said: str) -> None:
    bad = rows()
    place = next(place for place, row in enumerate(bad) if row["choice"] == choice and not row["check_kind"])
    bad[place] |= changes
    with pytest.raises(BadVotesError) as caught:
        votes_from_rows(bad)
    (row,) = caught.value.bad_rows
    assert (row.line, row.column) == (place + 1, name)
    assert said in row.reason


def test_the_columns_are_known_and_no_part_of_an_ordinary_table() -> None:
    assert [column(entry.name) for entry in ANSWER_COLUMNS] == list(ANSWER_COLUMNS)
    assert not {entry.name for entry in ANSWER_COLUMNS} & {entry.name for entry in VOTE_COLUMNS}
