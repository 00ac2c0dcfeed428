import math

import numpy as np
import pytest

from analysis.inference.bootstrap import (
    _on_exact_grid,
    percentile_estimate,
    product_bootstrap,
    resample_counts,
    unit_bootstrap,
)
from analysis.preference.rate import two_way_t
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def exact_bootstrap_se(comparison):
    """Closed form on a fully crossed table: the multinomial counts of raters and pairs are independent."""
    table = comparison.score[np.lexsort((comparison.pair, comparison.rater))].reshape(
        comparison.rater.max() + 1, comparison.pair.max() + 1
    )
    centred = table - table.mean()
    rater, pair = centred.mean(axis=1), centred.mean(axis=0)
    rest = centred - rater[:, None] - pair
    r, p = table.shape
    return math.sqrt((rater**2).sum() / r**2 + (pair**2).sum() / p**2 + (rest**2).sum() / (r * p) ** 2)


def test_product_bootstrap_has_the_exact_standard_error_of_a_crossed_table():
    comparison = crossed_comparison(1, raters=15, pairs=25)
    result = product_bootstrap(comparison, repetitions=8000)
    assert result.se == pytest.approx(exact_bootstrap_se(comparison), rel=0.03)
    assert result.estimate == pytest.approx(two_way_t(comparison).estimate, abs=1e-12)


@pytest.mark.parametrize("keep", [1.0, 0.02])
def test_dense_and_sparse_paths_depend_on_the_seed_alone_and_not_on_the_order(keep):
    comparison = crossed_comparison(2, raters=60, pairs=50, keep=keep)
    shuffled = comparison.rows(np.random.default_rng(0).permutation(len(comparison)))
    assert product_bootstrap(comparison, repetitions=200) == product_bootstrap(shuffled, repetitions=200)
    assert product_bootstrap(comparison, repetitions=200) != product_bootstrap(comparison, repetitions=200, seed=1)


def test_a_replicate_is_the_mean_over_the_resampled_votes():
    comparison = crossed_comparison(5, raters=6, pairs=7, keep=0.6)
    rng = np.random.default_rng(3)
    pairs = resample_counts(rng, 7, 100)
    raters = resample_counts(rng, 6, 100)
    load = np.bincount(comparison.rater)
    weight = raters[comparison.rater] * pairs[comparison.pair] / load[comparison.rater][:, None]
    expected = (weight * comparison.score[:, None]).sum(axis=0) / weight.sum(axis=0)
    result = product_bootstrap(comparison, seed=3, repetitions=100)
    assert result.se == pytest.approx(expected.std(ddof=1), rel=1e-12)
    assert result.ci95 == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])), abs=1e-12)


def test_empty_resamples_are_counted_and_reported():
    comparison = make_comparison([1, 0, 1], [0, 1, 2], [0, 1, 2])
    assert "resamples left the quantity undefined" in product_bootstrap(comparison, repetitions=500).reason


@pytest.mark.parametrize(
    "comparison",
    [
        make_comparison([], [], []),
        make_comparison([1], [0], [0]),
        make_comparison([0.5] * 4, [0, 0, 1, 1], [0, 1, 0, 1]),
    ],
    ids=["empty", "one row", "all ties"],
)
def test_degenerate_tables_have_no_interval_but_a_reason(comparison):
    result = product_bootstrap(comparison, repetitions=100)
    assert result.ci95 is None
    assert result.reason


def test_too_few_repetitions_are_refused():
    with pytest.raises(ValueError, match="repetitions is 10"):
        product_bootstrap(crossed_comparison(), repetitions=10)


def test_resample_counts_draw_as_many_units_as_there_are():
    counts = resample_counts(np.random.default_rng(0), 11, 5)
    assert counts.shape == (11, 5)
    assert (counts.sum(axis=0) == 11).all()


def test_unit_bootstrap_of_a_mean_has_its_standard_error():
    values = np.random.default_rng(0).normal(size=200)
    replicates = unit_bootstrap(lambda sums: sums[:, 0] / 200, values[:, None], repetitions=4000)
    assert replicates.std() == pytest.approx(values.std() / math.sqrt(200), rel=0.05)


def test_the_p_value_of_a_bootstrap_is_never_zero():
    result = percentile_estimate(1.0, np.linspace(0.9, 1.1, 999), method="m", null=0.5)
    assert result.p_value == pytest.approx(2 / 1000)


def test_sums_over_resampled_units_are_exact_and_so_the_same_in_any_order():
    rng = np.random.default_rng(8)
    per_unit = np.column_stack(
        [rng.normal(size=3000), rng.uniform(0, 1e-6, 3000), np.zeros(3000), rng.integers(0, 99, 3000)]
    )
    counts = resample_counts(rng, 3000, 4).astype(float)
    grid = _on_exact_grid(per_unit)
    exact = [[math.fsum(counts[:, b] * grid[:, k]) for k in range(4)] for b in range(4)]
    assert (counts.T @ grid).tolist() == exact
    assert np.abs(grid - per_unit).max(axis=0) == pytest.approx(np.zeros(4), abs=1e-11)
    assert (grid[:, 3] == per_unit[:, 3]).all()
