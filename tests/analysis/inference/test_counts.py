import numpy as np
import pytest

from analysis.inference.counts import Counts, count_sides, count_votes, load_summary
from tests.analysis.votes_factory import make_comparison, make_table


def test_wins_losses_and_ties_are_counted_by_hand():
    counts = count_votes(make_comparison([1, 1, 0, 0.5, 1], [0, 0, 1, 1, 2], [0, 1, 0, 1, 0]))
    assert counts == Counts(wins=3, losses=1, ties=1)
    assert (counts.votes, counts.decisive) == (5, 4)
    assert counts.rate == pytest.approx(0.7)
    assert counts.decisive_rate == pytest.approx(0.75)
    assert counts.as_json() == {"wins": 3, "losses": 1, "ties": 1}


def test_an_empty_comparison_counts_zero_and_has_no_rate():
    counts = count_votes(make_comparison([], [], []))
    assert counts == Counts(wins=0, losses=0, ties=0)
    assert counts.rate is counts.decisive_rate is None


def test_sides_chosen():
    rows = [("a", f"p{n}", "robust", "vanilla", choice) for n, choice in enumerate(["left", "left", "right", "tie"])]
    sides = count_sides(make_table(rows))
    assert (sides.left, sides.right, sides.ties) == (2, 1, 1)
    assert sides.left_share == pytest.approx(2 / 3)
    assert count_sides(make_table(rows).rows(np.zeros(4, dtype=bool))).left_share is None


def test_load_summary_is_over_units_that_voted():
    summary = load_summary(np.array([4, 4, 4, 9, 0, 0]))
    assert (summary.units, summary.median, summary.smallest, summary.largest) == (3, 2.0, 1, 3)
    assert load_summary(np.zeros(0, dtype=np.int64)).median is None
