from dataclasses import replace

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
from analysis.preference.rate import headline, product_bootstrap, rater_mean_t, two_way_t
from analysis.preference.sequential import confidence_sequence
from analysis.regression.gee import gee
from analysis.regression.glmm import glmm
from analysis.regression.linear_mixed import lmm
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def test_group_index_closes_gaps_in_the_order_of_the_codes():
    index, present = group_index(np.array([9, 2, 9, 4]))
    assert index.tolist() == [2, 0, 2, 1]
    assert present.tolist() == [2, 4, 9]
    assert group_index(np.zeros(0, dtype=np.int64))[0].tolist() == []


@pytest.mark.parametrize("length", [2, 128, 129, 32768, 70000])
def test_group_index_of_codes_with_one_gap_counts_to_the_end(length):
    codes = np.delete(np.arange(length), 1 if length > 2 else 0)
    index, present = group_index(codes)
    assert index.dtype == np.int64
    assert index.tolist() == list(range(length - 1))
    assert present.tolist() == codes.tolist()


@pytest.mark.parametrize("kind", [str, object])
def test_label_index_orders_labels_by_name(kind):
    index, names = label_index(np.array(["pear", "äpfel", "fig", "pear"], dtype=kind))
    assert names.tolist() == ["fig", "pear", "äpfel"]
    assert index.tolist() == [1, 2, 0, 1]
    assert len(label_index(np.zeros(0, dtype=kind))[1]) == 0


def test_distinct_counts_codes():
    assert distinct(np.array([5, 0, 5])) == 2
    assert distinct(np.zeros(0, dtype=np.int64)) == 0


@pytest.mark.parametrize("flagged", [0, 1000])
def test_distinct_codes_are_counted_in_each_group(monkeypatch, flagged):
    monkeypatch.setattr(crossing, "_FLAGGED_CELLS", flagged)
    group, code = np.array([2, 0, 2, 2, 0]), np.array([1, 3, 1, 0, 0])
    assert crossing.distinct_per_group(group, code, groups=4, values=4).tolist() == [2, 0, 2, 0]
    none = np.zeros(0, dtype=np.int64)
    assert crossing.distinct_per_group(none, none, groups=2, values=0).tolist() == [0, 0]


def test_weights_average_over_raters():
    comparison = crossed_comparison(1, keep=0.4)
    weights = rater_averaged_weights(crossing_of(comparison))
    assert weights.sum() == pytest.approx(1.0)
    rates = [comparison.score[comparison.rater == r].mean() for r in np.unique(comparison.rater)]
    assert weights @ comparison.score == pytest.approx(np.mean(rates))


def looped(influence, comparison):
    cells = {}
    for value, cell in zip(influence, zip(comparison.rater, comparison.pair, strict=True), strict=True):
        cells[cell] = cells.get(cell, 0.0) + value
    return sum(value**2 for value in cells.values()) * len(cells) / (len(cells) - 1)


@pytest.mark.parametrize("limits", [(16, 200_000_000), (0, 200_000_000), (0, 0)], ids=["table", "sorted", "no flags"])
@pytest.mark.parametrize("repeats", [False, True])
def test_every_way_to_sum_cells_gives_the_same_variance(monkeypatch, limits, repeats):
    monkeypatch.setattr(crossing, "_CELLS_PER_VOTE", limits[0])
    monkeypatch.setattr(crossing, "_FLAGGED_CELLS", limits[1])
    comparison = crossed_comparison(5, keep=0.5)
    if repeats:
        comparison = comparison.rows(np.concatenate([np.arange(len(comparison)), np.arange(0, len(comparison), 3)]))
    influence = np.random.default_rng(0).normal(size=len(comparison))
    variance = crossed_variance(influence, crossing_of(comparison))
    assert variance.cell == pytest.approx(looped(influence, comparison), rel=1e-12)
    assert len(np.unique(crossing_of(comparison).cells())) == len(
        set(zip(comparison.rater, comparison.pair, strict=True))
    )


def test_the_floor_keeps_the_larger_one_way_component():
    # Raters differ, every pair has one vote of each: subtracting the cells would go below the raters' component.
    comparison = make_comparison([1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1])
    part = crossed_variance((comparison.score - 0.5) / 6, crossing_of(comparison))
    assert part.rater + part.pair - part.cell < part.rater
    assert part.total == part.rater


def grouped_votes(rng, *, sites=4, raters=40, pairs=40, sd_site=0.5):
    rater, pair = (axis.ravel() for axis in np.meshgrid(np.arange(raters), np.arange(pairs), indexing="ij"))
    odds = rng.normal(0, sd_site, sites)[rater % sites] + rng.normal(0, 0.5, raters)[rater]
    odds += rng.normal(0, 0.5, pairs)[pair]
    score = (rng.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float)
    return make_comparison(score, rater, pair, site=[f"site {number % sites}" for number in rater])


def test_raters_of_four_sites_are_four_units():
    """Line 1.8: as if raters were independent, the interval covered 65 % with a site SD of 0.5."""
    rng, held = np.random.default_rng(1), []
    for _ in range(200):
        result = headline(grouped_votes(rng))
        assert result.df == 3
        held.append(result.ci95[0] <= 0.5 <= result.ci95[1])
    assert np.mean(held) >= 0.95 - 3 * 0.0155


def test_every_interval_takes_sites_as_units_or_is_refused():
    comparison = grouped_votes(np.random.default_rng(2))
    bare = replace(comparison, extra={})
    for method in (two_way_t, headline, rater_mean_t, product_bootstrap):
        grouped, alone = method(comparison), method(bare)
        assert grouped.estimate == pytest.approx(alone.estimate)
        assert grouped.ci95[1] - grouped.ci95[0] > alone.ci95[1] - alone.ci95[0]
        assert "4 sites" in grouped.reason
    for method in (lmm, gee, confidence_sequence, lambda votes: glmm(votes).marginal_rate):
        assert "grouped in 4 sites" in method(comparison).reason
        assert method(comparison).ci95 is None
        assert method(bare).ci95 is not None


def test_one_site_is_no_sample_of_sites_and_raters_without_one_stand_alone():
    rng = np.random.default_rng(3)
    one = grouped_votes(rng, sites=1)
    assert crossing_of(one).site is None
    assert two_way_t(one) == two_way_t(replace(one, extra={}))
    some = replace(one, extra={"site": np.where(one.rater < 10, one.extra["site"], "")})
    assert crossing_of(some).n_units == 31
