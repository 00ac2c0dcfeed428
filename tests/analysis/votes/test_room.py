"""A column of one value takes the room of one, also when rows of it are taken."""

import numpy as np
import pytest

from analysis.votes.room import is_constant, kept
from analysis.votes.table import VoteTable


@pytest.mark.parametrize("rows", [np.array([True, False, True, False]), np.array([3, 0]), np.array([], dtype=np.int64)])
@pytest.mark.parametrize("column", [np.arange(4), np.broadcast_to(np.array(["study"], dtype=object), (4,))])
def test_rows_of_a_column_are_those_of_numpy(column, rows):
    assert kept(column, rows).tolist() == column[rows].tolist()


def test_votes_taken_from_a_table_keep_their_constant_columns():
    none = np.zeros(4, dtype=np.int64)
    table = VoteTable(
        raters=("r",),
        pairs=("p",),
        arms=("a", "b"),
        rater=none,
        pair=none,
        arm_left=none,
        arm_right=none + 1,
        choice=np.array([0, 1, 2, 0], dtype=np.int8),
        extra={"study": np.broadcast_to(np.array(["s"], dtype=object), (4,)), "position": np.arange(4.0)},
    )
    comparison = table.comparison("a", "b")
    for votes in (table.rows(comparison.score > 0.0), comparison, comparison.rows(np.array([0, 3]))):
        assert is_constant(votes.extra["study"])
        assert not is_constant(votes.extra["position"])
        assert votes.extra["study"].tolist() == ["s"] * len(votes)
