"""Who judged: every rater is in one group, few are never shown alone, and one family of p-values is adjusted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from analysis.preference.groups import group_rates
from analysis.raters.composition import composition
from tests.analysis.votes_factory import make_comparison


def votes(raters=40, pairs=30, shift=0.0, seed=0):
    """Votes of raters of whom the second half prefers the arm by ``shift`` more, in log-odds."""
    rng = np.random.default_rng(seed)
    rater, pair = (grid.ravel() for grid in np.meshgrid(np.arange(raters), np.arange(pairs), indexing="ij"))
    logits = rng.normal(0, 0.5, raters)[rater] + rng.normal(0, 0.8, pairs)[pair] + shift * (rater >= raters // 2)
    return make_comparison((rng.random(len(rater)) < special.expit(logits)).astype(float), rater, pair)


HALVES = ["old"] * 20 + ["young"] * 20


def test_each_group_has_its_rate_with_raters_and_pairs_crossed():
    comparison = votes()
    (grouping,) = composition(comparison, {"age": HALVES})
    expected = group_rates(
        [comparison.rows(comparison.rater < 20), comparison.rows(comparison.rater >= 20)], nested="rater"
    )
    assert [row.result for row in grouping.rows] == expected
    assert [(row.group, row.raters, row.votes, row.share) for row in grouping.rows] == [
        ("old", 20, 600, 0.5),
        ("young", 20, 600, 0.5),
    ]


def test_few_raters_are_counted_together_and_every_rater_once():
    groups = ["a"] * 20 + ["b"] * 14 + ["c"] * 3 + ["d"] * 3
    (grouping,) = composition(votes(), {"site": groups})
    assert [(row.group, row.raters) for row in grouping.rows] == [
        ("a", 20),
        ("b", 14),
        ("groups of fewer than 5 raters", 6),
    ]
    assert sum(row.raters for row in grouping.rows) == 40
    assert sum(row.votes for row in grouping.rows) == 1200
    assert [row.result is None for row in grouping.rows] == [False, False, True]


def test_fewer_raters_than_may_be_told_have_neither_counts_nor_a_share():
    groups = ["a"] * 20 + ["b"] * 15 + ["c"] * 2 + ["d"] * 2 + [""]
    (grouping,) = composition(votes(), {"site": groups})
    small, silent = grouping.rows[2:]
    assert (small.group, silent.group) == ("groups of fewer than 5 raters", "not stated")
    for row in (small, silent):
        assert (row.raters, row.votes, row.share, row.result) == (None, None, None, None)


def test_groups_that_differ_are_found():
    (grouping,) = composition(votes(shift=2.0), {"age": HALVES})
    assert grouping.heterogeneity.p_value < 0.001


def test_the_p_values_of_all_columns_are_one_family():
    comparison = votes(shift=0.6, seed=3)
    odd = ["x" if number % 2 else "y" for number in range(40)]
    one, other = composition(comparison, {"age": HALVES, "odd": odd})
    rows = [*one.rows, *other.rows]
    raw = sorted((row.result.p_value, row.p_adjusted) for row in rows)
    assert raw[0][1] == pytest.approx(min(1.0, 4 * raw[0][0]))


def test_a_grouping_of_small_groups_alone_has_no_rate_and_no_test():
    (grouping,) = composition(votes(raters=4), {"age": ["a", "b", "a", "b"]})
    assert grouping.heterogeneity is None
    assert [row.result for row in grouping.rows] == [None]


def test_no_votes_have_no_composition():
    (grouping,) = composition(make_comparison([], [], []), {"age": []})
    assert grouping.rows == ()
