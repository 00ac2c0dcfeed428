"""Correlations and halo against plain computations and known truth."""

import numpy as np
import pytest

from analysis.preference.criteria import halo, matched, pair_correlation, rater_correlation
from analysis.votes.criteria import by_criterion
from analysis.votes.reading import votes_from_rows
from tests.analysis.criteria_votes import criteria_rows

TWO = {"realism": 0.6, "detail": 0.6}


def cells(**design):
    table = votes_from_rows(criteria_rows(TWO, **design)).table
    one, other = (by_criterion(table, key).comparison("robust", "vanilla") for key in TWO)
    return matched(one, other)


def rate_of(found, units, which):
    return np.array([which[units == unit].mean() for unit in np.unique(units)])


def test_correlations_are_pearsons_of_the_rates():
    found = cells(raters=30, pairs=25, halo=0.3)
    for units, estimate in ((found.pair, pair_correlation(found)), (found.rater, rater_correlation(found))):
        expected = np.corrcoef(rate_of(found, units, found.one), rate_of(found, units, found.other))[0, 1]
        assert estimate.estimate == pytest.approx(expected, abs=1e-12)
        assert estimate.ci95[0] < estimate.estimate < estimate.ci95[1]
    assert pair_correlation(found).estimate > 0.5  # the pairs' appeal is the same in both


def test_halo_is_agreement_within_raters_beyond_that_between_them():
    found = cells(raters=12, pairs=8, halo=0.4)
    within, between = [], []
    for rater, pair, one, other in zip(found.rater, found.pair, found.one, found.other, strict=True):
        within.append(one == other)
        rest = found.other[(found.pair == pair) & (found.rater != rater)]
        between.append(np.mean(rest == one))
    assert halo(found).estimate == pytest.approx(np.mean(within) - np.mean(between), abs=1e-12)


def test_halo_is_found_where_it_is_and_not_where_it_is_not():
    strong, none = halo(cells(raters=40, pairs=30, halo=0.6)), halo(cells(raters=40, pairs=30, halo=0.0))
    assert strong.ci95[0] > 0.15
    assert none.ci95[0] < 0 < none.ci95[1]


def test_the_interval_of_halo_covers_none_where_there_is_none():
    bounds = [halo(cells(raters=16, pairs=40, halo=0.0, seed=seed)).ci95 for seed in range(60)]
    assert sum(low <= 0 <= high for low, high in bounds) >= 0.9 * 60


def test_few_units_and_equal_rates_are_refused_with_the_reason():
    few = cells(raters=3, pairs=3)
    for estimate in (halo(few), pair_correlation(few), rater_correlation(few)):
        assert estimate.estimate is None
        assert estimate.reason
    same = cells(raters=6, pairs=6)
    constant = type(same)(rater=same.rater, pair=same.pair, one=np.ones_like(same.one), other=same.other)
    assert "the same" in pair_correlation(constant).reason


def test_votes_that_only_one_criterion_has_are_left_out():
    rows = criteria_rows(TWO, raters=6, pairs=6)
    rows = [row for row in rows if not (row["criterion"] == "detail" and row["pair"] in ("p00", "p01"))]
    table = votes_from_rows(rows).table
    one, other = (by_criterion(table, key).comparison("robust", "vanilla") for key in TWO)
    assert len(matched(one, other).one) == 6 * 4
