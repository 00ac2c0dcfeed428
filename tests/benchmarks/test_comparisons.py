"""The benchmarks compare answers before times: on a small table every row must agree with its reference."""

import numpy as np
import pytest

from analysis.planning.simulation import Scenario, simulate_votes
from benchmarks import coverage
from benchmarks.comparisons import closed_forms
from benchmarks.comparisons.timing import Row, measured

TABLE = simulate_votes(
    Scenario(
        raters=60, pairs=80, votes_per_rater=40, classes=4, tie_rate=0.1, sd_rater=0.8, sd_pair=1.0, repeats=2, seed=1
    )
)
IN_R = "(R)"
COMPARED = [row for row in closed_forms.rows(TABLE) if row.reference is not None and IN_R not in row.name]


def test_there_are_rows_to_compare():
    assert {"two_way_t", "rater_mean_t", "wilson"} <= {row.name for row in COMPARED}


@pytest.mark.parametrize("row", COMPARED, ids=lambda row: row.name)
def test_a_row_agrees_with_its_reference(row):
    record = measured(row)
    assert record["agrees"], record
    assert record["ours_s"] > 0
    assert record["reference_s"] > 0


def test_a_disagreement_shows():
    record = measured(Row(name="wrong", ours=lambda: [1.0], reference=lambda: [1.1], reference_name="other"))
    assert record["agrees"] is False
    assert record["largest_relative_difference"] == pytest.approx(0.1 / 1.1, rel=0.01)


def test_a_reference_that_times_itself_is_believed():
    record = measured(Row(name="r", ours=lambda: [1.0], reference=lambda: ([1.0], 2.5), reference_name="R"))
    assert record["reference_s"] == 2.5


def test_coverage_counts_intervals_that_hold_the_truth():
    held, widths = coverage._covered(Scenario(raters=20, pairs=30), np.arange(40), extras=())
    shares = dict(zip(coverage._methods(()), held / 40, strict=True))
    assert shares["two_way_t"] >= 0.8 > shares["wilson"]
    assert (widths > 0).all()
