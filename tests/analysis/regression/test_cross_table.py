"""The table of cells, whichever order they come in."""

import numpy as np

from analysis.regression.cross_table import cross_table
from tests.analysis.regression.test_crossed_effects import random_cells


def test_a_table_of_cells_in_order_is_that_of_any_order():
    cells, order = random_cells(5), np.random.default_rng(6).permutation(40)
    ranks = np.argsort(cells.rater * cells.n_pairs + cells.pair, kind="stable")
    rater, pair = cells.rater[ranks], cells.pair[ranks]
    sorted_table = cross_table(rater, pair, 7, 5)
    mixed_table = cross_table(rater[order], pair[order], 7, 5)
    assert sorted_table.slot[order].tolist() == mixed_table.slot.tolist()
    assert sorted_table.slot_columns.tolist() == mixed_table.slot_columns.tolist()
    assert sorted_table.indptr.tolist() == mixed_table.indptr.tolist()
