import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from analysis.raters.consistency import consistency, repeated_votes
from tests.analysis.votes_factory import make_table, stored_table


def test_a_repeat_counts_only_with_its_sides_swapped():
    rows = [
        ("a", "x", "robust", "vanilla", "left"),
        ("a", "x", "vanilla", "robust", "right"),
        ("a", "y", "robust", "vanilla", "left"),
        ("a", "y", "robust", "vanilla", "left"),
        ("b", "x", "robust", "vanilla", "tie"),
        ("b", "x", "vanilla", "robust", "left"),
    ]
    repeats = repeated_votes(make_table(rows))
    assert len(repeats) == 2
    assert repeats.unswapped == 1
    result = consistency(make_table(rows)).same_answer
    assert result.estimate == pytest.approx(0.5)
    assert "1 repeats on unswapped sides" in result.reason
    assert result.p_value is None


def test_position_decides_which_answer_came_first():
    rows = [("a", "x", "robust", "vanilla", "left"), ("a", "x", "vanilla", "robust", "left")]
    later_first = repeated_votes(make_table(rows, position=[7.0, 2.0]))
    assert (later_first.first.item(), later_first.second.item()) == (1, 0)


def test_kappa_is_that_of_a_cross_table():
    table = stored_table("repeats_and_classes")
    repeats = repeated_votes(table)
    assert len(repeats) == 24 * 5
    result = consistency(table)
    crossed = np.zeros((3, 3))
    np.add.at(crossed, (repeats.first, repeats.second), 1)
    assert result.kappa.estimate == pytest.approx(cohens_kappa(crossed).kappa, abs=1e-12)
    assert result.kappa.ci95[0] < result.kappa.estimate < result.kappa.ci95[1]
    rates = [np.mean((repeats.first == repeats.second)[repeats.rater == r]) for r in np.unique(repeats.rater)]
    assert result.same_answer.estimate == pytest.approx(np.mean(rates))


def test_no_repeats_is_null_with_its_reason():
    result = consistency(stored_table("full_20x30"))
    assert result.kappa.estimate is result.same_answer.estimate is None
    assert "shown twice" in result.kappa.reason
    empty = stored_table("full_20x30").rows(np.zeros(600, dtype=bool))
    assert consistency(empty).same_answer.estimate is None


def test_a_single_answer_leaves_kappa_undefined_and_not_one():
    rows = [("a", "x", "robust", "vanilla", "left"), ("a", "x", "vanilla", "robust", "right")]
    result = consistency(make_table(rows))
    assert result.same_answer.estimate == 1.0
    assert result.same_answer.ci95 is None
    assert result.kappa.estimate is None
