"""The crossed models and GEE against glmmTMB, lme4, lmerTest, geepack and ordinal on the stored tables."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.regression.gee import fit_gee, gee
from analysis.regression.glmm import glmm
from analysis.regression.linear_mixed import fit_reml, lmm
from analysis.regression.ordinal import ordinal_mixed
from tests.analysis.reference import answered, answers
from tests.analysis.votes_factory import stored_table


def stored_comparison(name):
    return stored_table(name).comparison("robust", "vanilla")


@pytest.mark.parametrize("name", answered("mixed_models", "glmm"))
def test_glmm_reaches_the_optimum_of_glmmtmb_and_its_errors(name):
    fit, reference = glmm(stored_comparison(name)), answers("mixed_models")[name]["glmm"]
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-4)
    assert fit.log_likelihood > max(reference["log_likelihood"], reference["log_likelihood_glmer"]) - 1e-6
    assert [fit.intercept.estimate, fit.position.estimate] == pytest.approx(reference["beta"], abs=2e-4)
    assert [fit.intercept.se, fit.position.se] == pytest.approx(reference["se"], rel=1e-3)
    assert fit.sd_rater == pytest.approx(reference["sd"]["rater"], abs=1e-3)
    assert fit.sd_pair == pytest.approx(reference["sd"]["pair"], abs=1e-3)


def test_singular_fits_are_among_the_tables_and_named():
    singular = {name for name in answered("mixed_models", "glmm") if glmm(stored_comparison(name)).singular}
    assert singular == {name for name in answered("mixed_models", "glmm") if _smallest_sd(name) < 1e-3}
    assert singular


def _smallest_sd(name):
    return min(answers("mixed_models")[name]["glmm"]["sd"].values())


@pytest.mark.parametrize("name", answered("mixed_models", "lmm"))
def test_reml_agrees_with_lmertest(name):
    comparison, reference = stored_comparison(name), answers("mixed_models")[name]["lmm"]
    fit = fit_reml(comparison)
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-6)
    assert fit.beta == pytest.approx(reference["beta"], abs=1e-6)
    assert np.sqrt(np.diagonal(fit.covariance)) == pytest.approx(reference["se"], rel=1e-4)
    assert [fit.sd_rater, fit.sd_pair] == pytest.approx([reference["sd"]["rater"], reference["sd"]["pair"]], abs=1e-5)
    assert fit.sd_residual == pytest.approx(reference["sd_residual"], abs=1e-6)
    if fit.df is None:
        assert min(reference["sd"].values()) == pytest.approx(0.0, abs=1e-4)
        assert "singular" in lmm(comparison).reason
    else:
        assert fit.df == pytest.approx(reference["df"], rel=1e-3)
        assert lmm(comparison).estimate == fit.beta[0]


@pytest.mark.parametrize("name", answered("mixed_models", "gee"))
def test_gee_agrees_with_geepack(name):
    comparison, reference = stored_comparison(name), answers("mixed_models")[name]["gee"]
    fit = fit_gee(comparison)
    assert fit.beta == pytest.approx(reference["beta"], abs=1e-8)
    assert np.sqrt(np.diagonal(fit.covariance)) == pytest.approx(reference["se"], rel=1e-7)
    assert fit.correlation == pytest.approx(reference["correlation"], abs=1e-8)
    assert fit.scale == pytest.approx(reference["scale"], abs=1e-8)
    assert gee(comparison).estimate == pytest.approx(_mean_of_sides(fit.beta), abs=1e-12)


def _mean_of_sides(beta):
    return np.mean([1 / (1 + np.exp(-beta[0] - side * beta[1])) for side in (-0.5, 0.5)])


@pytest.mark.parametrize("name", answered("mixed_models", "ordinal"))
def test_ordinal_model_agrees_with_clmm(name):
    fit, reference = ordinal_mixed(stored_comparison(name)), answers("mixed_models")[name]["ordinal"]
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=1e-4)
    assert fit.log_likelihood > reference["log_likelihood"] - 1e-6
    centre, half = fit.intercept.estimate, fit.half_width.estimate
    assert [-centre - half, -centre + half] == pytest.approx(reference["thresholds"], abs=2e-3)
    assert fit.position.estimate == pytest.approx(reference["position"], abs=2e-3)
    # clmm differences the log-likelihood twice, which leaves its errors good to two or three digits.
    assert fit.position.se == pytest.approx(reference["se_position"], rel=1e-2)
    assert fit.sd_rater == pytest.approx(reference["sd"]["rater"], abs=5e-3)
    assert fit.sd_pair == pytest.approx(reference["sd"]["pair"], abs=5e-3)
