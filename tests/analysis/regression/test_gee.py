"""Generalised estimating equations by rater: oracle, symmetry, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from analysis.regression.gee import fit_gee, gee
from tests.analysis.votes_factory import crossed_comparison, make_comparison


def test_agrees_with_statsmodels_at_its_working_correlation():
    comparison = crossed_comparison(2, keep=0.5)
    order = np.argsort(comparison.rater, kind="stable")
    design = np.column_stack((np.ones(len(comparison)), comparison.side))[order]
    structure = sm.cov_struct.Exchangeable()
    family = sm.families.Binomial()
    reference = sm.GEE(
        comparison.score[order], design, groups=comparison.rater[order], family=family, cov_struct=structure
    ).fit()
    fit = fit_gee(comparison)
    # statsmodels divides the moments by degrees of freedom, geepack and this package by counts.
    assert fit.correlation == pytest.approx(structure.dep_params, abs=0.01)
    assert fit.beta == pytest.approx(reference.params, abs=1e-3)
    assert np.sqrt(np.diagonal(fit.covariance)) == pytest.approx(reference.bse, rel=1e-2)


def test_swapping_the_arms_mirrors_the_interval():
    comparison = crossed_comparison(1)
    one, other = (
        gee(comparison),
        gee(make_comparison(1.0 - comparison.score, comparison.rater, comparison.pair, -comparison.side)),
    )
    assert other.estimate == pytest.approx(1.0 - one.estimate, abs=1e-9)
    assert other.ci95 == pytest.approx((1.0 - one.ci95[1], 1.0 - one.ci95[0]), abs=1e-9)


def test_row_order_changes_no_bit():
    comparison = crossed_comparison(6, keep=0.6)
    order = np.random.default_rng(1).permutation(len(comparison))
    assert gee(
        make_comparison(
            comparison.score[order], comparison.rater[order], comparison.pair[order], comparison.side[order]
        )
    ) == gee(comparison)


@pytest.mark.parametrize(
    ("score", "rater", "words"),
    [
        ([], [], "no votes"),
        ([1, 0, 1, 1], [4, 4, 4, 4], "only 1 rater"),
        ([1, 0, 1, 1], [0, 0, 1, 1], "separation"),
        ([1, 1, 0, 0] * 3, [0, 0, 1, 1] * 3, "working correlation"),
    ],
)
def test_refusals_name_their_reason(score, rater, words):
    result = gee(make_comparison(score, rater, np.arange(len(score))))
    assert result.estimate is None
    assert words in result.reason


def test_only_ties_give_one_half_without_an_interval():
    result = gee(make_comparison([0.5] * 6, [0, 0, 1, 1, 2, 2], [0, 1] * 3))
    assert result.estimate == 0.5
    assert result.ci95 is None
    assert "standard error is zero" in result.reason
