"""Counts, rates, intervals, agreement and resampling against statsmodels, scipy, krippendorff and plain numpy loops."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from analysis.preference import per_class, position, sensitivity, sequential
from analysis.preference import rate as preference
from analysis.raters import agreement, consistency, screening
from analysis.votes.table import LEFT, TIE, Comparison, VoteTable
from benchmarks.comparisons.timing import Row, r_answer

__all__ = ["rows"]

_BOOTSTRAPS = 400


def rows(table: VoteTable) -> list[Row]:
    """Return the rows for one vote table of two arms."""
    comparison = table.comparison("robust", "vanilla")
    return [*_intervals(comparison), *_descriptive(table, comparison), *_alone(table, comparison)]


def _interval(result) -> tuple[float, float, float]:
    return result.estimate, *result.ci95


def _interval_and_units(result) -> tuple[float, ...]:
    """What our result states besides the interval, the reference has to count too."""
    return *_interval(result), result.n_raters, result.n_pairs


def _intervals(comparison: Comparison) -> list[Row]:
    return [
        Row(
            name="two_way_t",
            ours=lambda: _se(preference.two_way_t(comparison)),
            reference=lambda: _statsmodels_cluster(comparison, adjusted=False),
            reference_name="statsmodels WLS, cov_type='cluster' with two columns",
        ),
        Row(
            name="two_way_t_adjusted",
            ours=lambda: _se(preference.two_way_t(comparison, adjusted=True)),
            reference=lambda: _statsmodels_cluster(comparison, adjusted=True),
            reference_name="statsmodels WLS, cov_type='cluster' with two columns",
        ),
        *_against_r(comparison),
        Row(
            name="rater_mean_t",
            ours=lambda: _interval_and_units(preference.rater_mean_t(comparison)),
            reference=lambda: _scipy_user_t(comparison),
            reference_name="pandas groupby and scipy ttest_1samp",
        ),
        Row(
            name="clopper_pearson",
            ours=lambda: _interval_and_units(preference.clopper_pearson(comparison)),
            reference=lambda: _scipy_binomial(comparison),
            reference_name="scipy binomtest and its exact interval",
        ),
        Row(
            name="wilson",
            ours=lambda: _interval_and_units(preference.wilson(comparison)),
            reference=lambda: _statsmodels_wilson(comparison),
            reference_name="statsmodels proportion_confint",
        ),
        Row(
            name=f"product_bootstrap, {_BOOTSTRAPS} repetitions",
            ours=lambda: [preference.product_bootstrap(comparison, repetitions=_BOOTSTRAPS).se],
            reference=lambda: [_looped_bootstrap(comparison)],
            reference_name="numpy loop over repetitions",
            tolerance=0.2,
            repeats=1,
        ),
    ]


def _se(result) -> tuple[float, float]:
    return result.estimate, result.se


def _statsmodels_cluster(comparison: Comparison, *, adjusted: bool) -> tuple[float, float]:
    """statsmodels multiplies each component by (N - 1) / (N - k) as well, divided out here, and has no floor."""
    load = np.bincount(comparison.rater)
    columns = [np.ones(len(comparison)), comparison.side] if adjusted else [np.ones(len(comparison))]
    fit = sm.WLS(comparison.score, np.column_stack(columns), weights=1.0 / load[comparison.rater]).fit(
        cov_type="cluster", cov_kwds={"groups": np.column_stack([comparison.rater, comparison.pair])}
    )
    votes, parameters = len(comparison), len(columns)
    return fit.params[0], fit.bse[0] * np.sqrt((votes - parameters) / (votes - 1))


_SANDWICH = """
suppressMessages({ library(jsonlite); library(sandwich) })
votes <- read.csv(commandArgs(TRUE)[1])
seconds <- system.time({
  fit <- lm(score ~ 1, votes, weights = votes$weight)
  v <- vcovCL(fit, cluster = votes[, c("rater", "pair")], type = "HC0", cadjust = TRUE)
})[["elapsed"]]
cat(toJSON(list(answer = c(coef(fit)[[1]], sqrt(v[1, 1])), seconds = unbox(seconds)), digits = NA), "\\n")
"""


def _against_r(comparison: Comparison) -> list[Row]:
    """The crossed interval against R, where R is installed; the script times itself without its start."""
    if shutil.which("Rscript") is None:
        return []
    return [
        Row(
            name="two_way_t (R)",
            ours=lambda: _se(preference.two_way_t(comparison)),
            reference=lambda: _sandwich(comparison),
            reference_name="R lm and sandwich::vcovCL",
            repeats=1,
        )
    ]


def _sandwich(comparison: Comparison) -> tuple[list[float], float]:
    columns = np.column_stack(
        [comparison.rater, comparison.pair, comparison.score, 1.0 / np.bincount(comparison.rater)[comparison.rater]]
    )
    with tempfile.TemporaryDirectory() as folder:
        votes = Path(folder) / "votes.csv"
        np.savetxt(votes, columns, fmt="%.17g", delimiter=",", header="rater,pair,score,weight", comments="")
        return r_answer(_SANDWICH, votes)


def _scipy_user_t(comparison: Comparison) -> tuple[float, ...]:
    rates = pd.Series(comparison.score).groupby(comparison.rater).mean()
    interval = stats.ttest_1samp(rates, 0.5).confidence_interval()
    return rates.mean(), *interval, len(rates), len(pd.unique(comparison.pair))


def _scipy_binomial(comparison: Comparison) -> tuple[float, ...]:
    wins, votes, *units = _decisive_counts(comparison)
    test = stats.binomtest(wins, votes)
    return test.statistic, *test.proportion_ci(method="exact"), *units


def _statsmodels_wilson(comparison: Comparison) -> tuple[float, ...]:
    wins, votes, *units = _decisive_counts(comparison)
    return wins / votes, *proportion_confint(wins, votes, method="wilson"), *units


def _decisive_counts(comparison: Comparison) -> tuple[int, int, int, int]:
    """Wins and decisive votes, and the raters and pairs they rest on."""
    decisive = comparison.score != 0.5
    units = (len(pd.unique(codes[decisive])) for codes in (comparison.rater, comparison.pair))
    return int(comparison.score[decisive].sum()), int(decisive.sum()), *units


def _looped_bootstrap(comparison: Comparison) -> float:
    rng = np.random.default_rng(0)
    load = np.bincount(comparison.rater)
    raters, pairs = len(load), comparison.pair.max() + 1
    rates = np.empty(_BOOTSTRAPS)
    for row in range(_BOOTSTRAPS):
        drawn_raters = np.bincount(rng.integers(raters, size=raters), minlength=raters) / load
        drawn_pairs = np.bincount(rng.integers(pairs, size=pairs), minlength=pairs)
        weight = drawn_raters[comparison.rater] * drawn_pairs[comparison.pair]
        rates[row] = weight @ comparison.score / weight.sum()
    return float(rates.std(ddof=1))


def _descriptive(table: VoteTable, comparison: Comparison) -> list[Row]:
    return [
        Row(
            name="krippendorff_alpha, estimate alone",
            ours=lambda: [agreement.krippendorff_alpha(table, repetitions=0).estimate],
            reference=lambda: [_krippendorff(table)],
            reference_name="krippendorff.alpha on pandas' cross table",
        ),
        Row(
            name="per_class with BH",
            ours=lambda: [entry.p_adjusted for entry in per_class.per_class(comparison).classes],
            reference=lambda: _statsmodels_classes(comparison),
            reference_name="statsmodels cluster fit a class and multipletests",
            repeats=1,
        ),
    ]


def _krippendorff(table: VoteTable) -> float:
    decisive = (table.choice != TIE) & ~table.extra["is_repeat"]
    chosen = np.where(table.choice == LEFT, table.arm_left, table.arm_right)[decisive]
    counts = pd.crosstab(table.pair[decisive], chosen).to_numpy()
    return krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")


def _statsmodels_classes(comparison: Comparison) -> np.ndarray:
    """Adjusted two-sided t p-values of the crossed fit within each class (no floor: it does not bind here)."""
    p_values = []
    for _, own in pd.Series(np.arange(len(comparison))).groupby(comparison.extra["class_label"]):
        part = comparison.rows(own.to_numpy())
        estimate, se = _statsmodels_cluster(part, adjusted=False)
        df = min(len(np.unique(part.rater)), len(np.unique(part.pair))) - 1
        p_values.append(2 * stats.t.sf(abs(estimate - 0.5) / se, df))
    return multipletests(p_values, method="fdr_bh")[1]


def _alone(table: VoteTable, comparison: Comparison) -> list[Row]:
    """What no other tool offers in this form: our time alone."""
    return [
        Row(name="headline", ours=lambda: preference.headline(comparison)),
        Row(
            name="product_bootstrap, 2000 repetitions", ours=lambda: preference.product_bootstrap(comparison), repeats=1
        ),
        Row(name="position_effect", ours=lambda: position.position_effect(comparison)),
        Row(name="left shares of all raters", ours=lambda: position.rater_left_shares(table)),
        Row(name="krippendorff_alpha with bootstrap interval", ours=lambda: agreement.krippendorff_alpha(table)),
        Row(name="gwet_ac1 with bootstrap interval", ours=lambda: agreement.gwet_ac1(table)),
        Row(name="fleiss_kappa with bootstrap interval", ours=lambda: agreement.fleiss_kappa(table)),
        Row(name="split_half_correlation", ours=lambda: agreement.split_half_correlation(comparison), repeats=1),
        Row(name="consistency", ours=lambda: consistency.consistency(table), repeats=1),
        Row(name="confidence_sequence", ours=lambda: sequential.confidence_sequence(comparison), repeats=1),
        Row(name="screen, all rules", ours=lambda: screening.screen(table), repeats=1),
        Row(name="sensitivity, all variants", ours=lambda: sensitivity.sensitivity(comparison), repeats=1),
    ]
