"""The crossed linear mixed model by REML: closed form, symmetry, fallbacks and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.preference.rate import two_way_t
from analysis.regression.linear_mixed import fit_reml, lmm
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def balanced_comparison():
    """Twelve raters crossed with ten pairs, one side shown, so that the only fixed effect is the mean."""
    comparison = crossed_comparison(2, raters=12, pairs=10, sd_rater=1.0, sd_pair=1.0)
    return replace(comparison, side=np.full(len(comparison), 0.5))


def test_balanced_table_has_the_anova_estimates():
    comparison = balanced_comparison()
    table = comparison.score.reshape(12, 10)
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    residual = table - rows[:, None] - columns + table.mean()
    within = np.sum(residual**2) / (11 * 9)
    of_raters, of_pairs = 10 * rows.var(ddof=1), 12 * columns.var(ddof=1)
    fit = fit_reml(comparison)
    assert fit.sd_residual**2 == pytest.approx(within, rel=1e-6)
    assert fit.sd_rater**2 == pytest.approx((of_raters - within) / 10, rel=1e-5)
    assert fit.sd_pair**2 == pytest.approx((of_pairs - within) / 12, rel=1e-5)
    assert fit.covariance[0, 0] == pytest.approx((of_raters + of_pairs - within) / 120, rel=1e-6)
    parts = of_raters**2 / 11 + of_pairs**2 / 9 + within**2 / 99
    assert fit.df[0] == pytest.approx((of_raters + of_pairs - within) ** 2 / parts, rel=1e-4)
    assert lmm(comparison).estimate == pytest.approx(table.mean(), abs=1e-12)


def test_swapping_the_arms_mirrors_the_interval():
    comparison = crossed_comparison(1)
    one, other = (
        lmm(comparison),
        lmm(make_comparison(1.0 - comparison.score, comparison.rater, comparison.pair, -comparison.side)),
    )
    assert other.estimate == pytest.approx(1.0 - one.estimate, abs=1e-8)
    assert other.ci95 == pytest.approx((1.0 - one.ci95[1], 1.0 - one.ci95[0]), abs=1e-6)
    assert other.df == pytest.approx(one.df, rel=1e-4)


def test_row_order_and_codes_change_nothing():
    comparison = crossed_comparison(6, keep=0.6)
    order = np.random.default_rng(1).permutation(len(comparison))
    shuffled = make_comparison(
        comparison.score[order], 7 * comparison.rater[order] + 2, 3 * comparison.pair[order], comparison.side[order]
    )
    one, other = lmm(comparison), lmm(shuffled)
    assert (other.estimate, other.se, other.df) == pytest.approx((one.estimate, one.se, one.df), rel=1e-9)


@pytest.mark.parametrize(
    ("score", "rater", "pair", "words"),
    [
        ([], [], [], "no votes"),
        ([1, 0, 1, 0], [2, 2, 2, 2], [0, 1, 0, 1], "only 1 rater"),
        ([1, 0, 1, 0], [0, 1, 0, 1], [3, 3, 3, 3], "only 1 pair"),
        ([1] * 6, [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], "constant score"),
        ([1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1], "side shown decides every score"),
    ],
)
def test_refusals_name_their_reason(score, rater, pair, words):
    result = lmm(make_comparison(score, rater, pair))
    assert result.estimate is None
    assert words in result.reason


def test_a_singular_fit_gives_the_crossed_interval_and_names_the_component():
    rng = np.random.default_rng(4)
    for _ in range(20):
        comparison = make_comparison(rng.integers(0, 2, 100), np.repeat(np.arange(10), 10), np.tile(np.arange(10), 10))
        fit = fit_reml(comparison)
        if fit.sd_pair == 0.0 and fit.sd_rater > 0.0:
            break
    result, crossed = lmm(comparison), two_way_t(comparison, adjusted=True)
    assert "variance of pairs is estimated at 0" in result.reason
    assert (result.estimate, result.ci95) == (crossed.estimate, crossed.ci95)


def test_one_vote_per_rater_gives_the_crossed_interval():
    comparison = make_comparison([1, 0, 1, 1, 0, 0, 1, 0], np.arange(8), [0, 1, 2, 3] * 2, [0.5] * 4 + [-0.5] * 4)
    result = lmm(comparison)
    assert "one vote per rater" in result.reason
    assert result.ci95 == two_way_t(comparison, adjusted=True).ci95


def test_scores_without_residual_give_the_crossed_interval():
    rater, pair = np.repeat(np.arange(6), 8), np.tile(np.arange(8), 6)
    side = np.random.default_rng(0).choice([0.5, -0.5], 48)
    result = lmm(make_comparison((rater % 2 == 0).astype(float), rater, pair, side))
    assert "no residual variance" in result.reason
    assert result.ci95 is not None
