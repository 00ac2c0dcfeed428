"""Crossed models, GEE and rankings against glmmTMB, lme4, geepack (R, where installed), statsmodels and choix."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import choix
import numpy as np
import statsmodels.api as sm

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.preference.rate import decisive_votes
from analysis.ranking.strengths import bradley_terry, davidson, thurstone_case_v
from analysis.regression.gee import fit_gee
from analysis.regression.glmm import glmm
from analysis.regression.linear_mixed import fit_reml, lmm
from analysis.regression.ordinal import ordinal_mixed
from analysis.votes.table import LEFT, TIE, Comparison, VoteTable
from benchmarks.comparisons.timing import Row, r_answer

__all__ = ["rows"]

SEVERAL_ARMS = Scenario(
    raters=2000,
    pairs=1000,
    votes_per_rater=100,
    strengths={"robust": 0.4, "clean": 0.1, "ensemble": 0.0, "vanilla": -0.2},
    tie_rate=0.1,
    position_bias=0.2,
    seed=2,
)

# Reads votes (rater, pair, x, score), prints the answer and the seconds of the fit alone, without R's start.
_R = """
suppressMessages({{ library(jsonlite); library({package}) }})
votes <- read.csv(commandArgs(TRUE)[1])
votes$rater <- factor(votes$rater); votes$pair <- factor(votes$pair)
seconds <- system.time({{ fit <- suppressWarnings({call}); answer <- {answer} }})[["elapsed"]]
cat(toJSON(list(answer = unname(answer), seconds = unbox(seconds)), digits = 14), "\\n")
"""
_FORMULA = "score ~ x + (1 | rater) + (1 | pair)"


def rows(table: VoteTable) -> list[Row]:
    """Return the rows for one vote table of two arms; rankings take their own table of four arms."""
    comparison = table.comparison("robust", "vanilla")
    return [*_crossed(comparison), *_by_rater(comparison), *_rankings(simulate_votes(SEVERAL_ARMS))]


def _crossed(comparison: Comparison) -> list[Row]:
    decisive = decisive_votes(comparison)
    logistic = f"{_FORMULA}, family = binomial, data = votes"
    numbers = "c(as.numeric(logLik(fit)), {})"
    tmb = _R.format(package="glmmTMB", call=f"glmmTMB({logistic})", answer=numbers.format("fixef(fit)$cond"))
    laplace = _R.format(package="lme4", call=f"glmer({logistic})", answer=numbers.format("fixef(fit)"))
    linear = _R.format(package="lme4", call=f"lmer({_FORMULA}, data = votes)", answer=numbers.format("fixef(fit)"))
    return [
        _slow("glmm", lambda: _glmm_numbers(comparison), tmb, decisive, "R glmmTMB", tolerance=1e-3),
        _slow("glmm (lme4)", lambda: _glmm_numbers(comparison), laplace, decisive, "R lme4 glmer", tolerance=1e-2),
        _slow("lmm", lambda: _reml_numbers(comparison), linear, comparison, "R lme4 lmer", tolerance=1e-4),
        Row(name="lmm with Satterthwaite df", ours=lambda: lmm(comparison), repeats=1),
        Row(name="ordinal_mixed", ours=lambda: ordinal_mixed(comparison), repeats=1),
    ]


def _slow(name, ours, script: str, comparison: Comparison, reference_name: str, *, tolerance: float) -> Row:
    """A row whose reference runs in R and times itself; our time alone where R is not installed."""
    if shutil.which("Rscript") is None:
        return Row(name=name, ours=ours, repeats=1)
    return Row(
        name=name,
        ours=ours,
        reference=partial(_in_r, script, comparison),
        reference_name=reference_name,
        tolerance=tolerance,
        repeats=1,
    )


def _in_r(script: str, comparison: Comparison):
    order = np.argsort(comparison.rater, kind="stable")
    columns = np.column_stack((comparison.rater, comparison.pair, comparison.side, comparison.score))[order]
    with tempfile.TemporaryDirectory() as folder:
        votes = Path(folder) / "votes.csv"
        np.savetxt(votes, columns, fmt="%g", delimiter=",", header="rater,pair,x,score", comments="")
        return r_answer(script, votes)


def _glmm_numbers(comparison: Comparison) -> list[float]:
    fit = glmm(comparison)
    return [fit.log_likelihood, fit.intercept.estimate, fit.position.estimate]


def _reml_numbers(comparison: Comparison) -> list[float]:
    fit = fit_reml(comparison)
    return [fit.log_likelihood, *fit.beta]


def _by_rater(comparison: Comparison) -> list[Row]:
    script = _R.format(
        package="geepack",
        call="geeglm(score ~ x, id = rater, data = votes, family = binomial, corstr = 'exchangeable')",
        answer="c(coef(fit), sqrt(diag(vcov(fit))))",
    )
    return [
        Row(
            name="gee (statsmodels)",
            ours=lambda: _gee_numbers(comparison),
            reference=lambda: _statsmodels_gee(comparison),
            reference_name="statsmodels GEE, exchangeable",
            tolerance=1e-3,
            repeats=2,
        ),
        _slow("gee", lambda: _gee_numbers(comparison), script, comparison, "R geepack", tolerance=1e-4),
    ]


def _gee_numbers(comparison: Comparison) -> list[float]:
    fit = fit_gee(comparison)
    return [*fit.beta, *np.sqrt(np.diagonal(fit.covariance))]


def _statsmodels_gee(comparison: Comparison) -> list[float]:
    design = np.column_stack((np.ones(len(comparison)), comparison.side))
    family, structure = sm.families.Binomial(), sm.cov_struct.Exchangeable()
    fit = sm.GEE(comparison.score, design, groups=comparison.rater, family=family, cov_struct=structure).fit()
    return [*fit.params, *fit.bse]


def _rankings(table: VoteTable) -> list[Row]:
    return [
        Row(
            # choix knows no side effect, so the two agree to the third digit only.
            name="bradley_terry (strengths and two-way errors)",
            ours=lambda: _strengths(bradley_terry(table, bootstrap=0)),
            reference=lambda: _choix(table),
            reference_name="choix opt_pairwise (strengths only)",
            tolerance=2e-2,
            repeats=1,
        ),
        Row(name="bradley_terry with 400 bootstrap resamples", ours=lambda: bradley_terry(table), repeats=1),
        Row(name="davidson with 400 bootstrap resamples", ours=lambda: davidson(table), repeats=1),
        Row(name="thurstone_case_v with 400 bootstrap resamples", ours=lambda: thurstone_case_v(table), repeats=1),
    ]


def _strengths(ranking) -> list[float]:
    return [arm.strength for arm in ranking.arms]


def _choix(table: VoteTable) -> np.ndarray:
    decisive = table.rows(table.choice != TIE)
    won = np.where(decisive.choice == LEFT, decisive.arm_left, decisive.arm_right)
    lost = np.where(decisive.choice == LEFT, decisive.arm_right, decisive.arm_left)
    found = choix.opt_pairwise(len(table.arms), list(zip(won.tolist(), lost.tolist(), strict=True)))
    return found - found.mean()
