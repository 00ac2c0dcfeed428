import numpy as np
import pytest

from analysis.inference import crossing
from analysis.inference.crossing import (
    crossed_variance,
    crossing_of,
    distinct,
    group_index,
    label_index,
    rater_averaged_weights,
)
from tests.analysis.votes_factory import crossed_duel, make_duel


def test_group_index_closes_gaps_in_the_order_of_the_codes():
    index, present = group_index(np.array([9, 2, 9, 4]))
    assert index.tolist() == [2, 0, 2, 1]
    assert present.tolist() == [2, 4, 9]
    assert group_index(np.zeros(0, dtype=np.int64))[0].tolist() == []


@pytest.mark.parametrize("kind", [str, object])
def test_label_index_orders_labels_by_name(kind):
    index, names = label_index(np.array(["pear", "äpfel", "fig", "pear"], dtype=kind))
    assert names.tolist() == ["fig", "pear", "äpfel"]
    assert index.tolist() == [1, 2, 0, 1]
    assert len(label_index(np.zeros(0, dtype=kind))[1]) == 0


def test_distinct_counts_codes():
    assert distinct(np.array([5, 0, 5])) == 2
    assert distinct(np.zeros(0, dtype=np.int64)) == 0


def test_weights_average_over_raters():
    duel = crossed_duel(1, keep=0.4)
    weights = rater_averaged_weights(crossing_of(duel))
    assert weights.sum() == pytest.approx(1.0)
    rates = [duel.score[duel.rater == r].mean() for r in np.unique(duel.rater)]
    assert weights @ duel.score == pytest.approx(np.mean(rates))


def looped(influence, duel):
    cells = {}
    for value, cell in zip(influence, zip(duel.rater, duel.pair, strict=True), strict=True):
        cells[cell] = cells.get(cell, 0.0) + value
    return sum(value**2 for value in cells.values()) * len(cells) / (len(cells) - 1)


@pytest.mark.parametrize("limits", [(16, 200_000_000), (0, 200_000_000), (0, 0)], ids=["table", "sorted", "no flags"])
@pytest.mark.parametrize("repeats", [False, True])
def test_every_way_to_sum_cells_gives_the_same_variance(monkeypatch, limits, repeats):
    monkeypatch.setattr(crossing, "_CELLS_PER_VOTE", limits[0])
    monkeypatch.setattr(crossing, "_FLAGGED_CELLS", limits[1])
    duel = crossed_duel(5, keep=0.5)
    if repeats:
        duel = duel.rows(np.concatenate([np.arange(len(duel)), np.arange(0, len(duel), 3)]))
    influence = np.random.default_rng(0).normal(size=len(duel))
    variance = crossed_variance(influence, crossing_of(duel))
    assert variance.cell == pytest.approx(looped(influence, duel), rel=1e-12)
    assert len(np.unique(crossing_of(duel).cells())) == len(set(zip(duel.rater, duel.pair, strict=True)))


def test_the_floor_keeps_the_larger_one_way_component():
    # Raters differ, every pair has one vote of each: subtracting the cells would go below the raters' component.
    duel = make_duel([1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1])
    part = crossed_variance((duel.score - 0.5) / 6, crossing_of(duel))
    assert part.rater + part.pair - part.cell < part.rater
    assert part.total == part.rater
