"""A column of one value takes the room of one, also when rows of it are taken."""

import numpy as np
import pytest

from analysis.planning.simulation import Scenario, simulate_votes
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


def test_a_mask_that_keeps_every_row_copies_none():
    votes = simulate_votes(Scenario(raters=4, pairs=6))
    comparison = votes.comparison("robust", "vanilla")
    assert votes.rows(np.ones(len(votes), dtype=bool)) is votes
    assert comparison.rows(comparison.score >= 0.0) is comparison
    for name in ("rater", "pair"):
        assert np.shares_memory(getattr(comparison, name), getattr(votes, name))
    for name, column in comparison.extra.items():
        assert column is votes.extra[name]


def test_rows_in_another_order_are_taken_though_none_is_left_out():
    votes = simulate_votes(Scenario(raters=4, pairs=6))
    backwards = votes.rows(np.arange(len(votes))[::-1])
    assert backwards.pair.tolist() == votes.pair.tolist()[::-1]


def test_columns_that_are_not_named_are_left_behind():
    votes = simulate_votes(Scenario(raters=4, pairs=6, classes=2))
    assert list(votes.only(("class_label", "missing")).extra) == ["class_label"]
    assert list(votes.comparison("robust", "vanilla").only(()).extra) == []
    assert "class_label" in votes.extra
