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
from analysis.votes.table import LEFT, TIE, Duel, VoteTable
from benchmarks.comparisons.timing import Row, r_answer

__all__ = ["rows"]

_BOOTSTRAPS = 400


def rows(table: VoteTable) -> list[Row]:
    """Return the rows for one vote table of two arms."""
    duel = table.duel("robust", "vanilla")
    return [*_intervals(duel), *_descriptive(table, duel), *_alone(table, duel)]


def _interval(result) -> tuple[float, float, float]:
    return result.estimate, *result.ci95


def _interval_and_units(result) -> tuple[float, ...]:
    """What our result states besides the interval, the reference has to count too."""
    return *_interval(result), result.n_raters, result.n_pairs


def _intervals(duel: Duel) -> list[Row]:
    return [
        Row(
            name="two_way_t",
            ours=lambda: _se(preference.two_way_t(duel)),
            reference=lambda: _statsmodels_cluster(duel, adjusted=False),
            reference_name="statsmodels WLS, cov_type='cluster' with two columns",
        ),
        Row(
            name="two_way_t_adjusted",
            ours=lambda: _se(preference.two_way_t(duel, adjusted=True)),
            reference=lambda: _statsmodels_cluster(duel, adjusted=True),
            reference_name="statsmodels WLS, cov_type='cluster' with two columns",
        ),
        *_against_r(duel),
        Row(
            name="rater_mean_t",
            ours=lambda: _interval_and_units(preference.rater_mean_t(duel)),
            reference=lambda: _scipy_user_t(duel),
            reference_name="pandas groupby and scipy ttest_1samp",
        ),
        Row(
            name="clopper_pearson",
            ours=lambda: _interval_and_units(preference.clopper_pearson(duel)),
            reference=lambda: _scipy_binomial(duel),
            reference_name="scipy binomtest and its exact interval",
        ),
        Row(
            name="wilson",
            ours=lambda: _interval_and_units(preference.wilson(duel)),
            reference=lambda: _statsmodels_wilson(duel),
            reference_name="statsmodels proportion_confint",
        ),
        Row(
            name=f"product_bootstrap, {_BOOTSTRAPS} repetitions",
            ours=lambda: [preference.product_bootstrap(duel, repetitions=_BOOTSTRAPS).se],
            reference=lambda: [_looped_bootstrap(duel)],
            reference_name="numpy loop over repetitions",
            tolerance=0.2,
            repeats=1,
        ),
    ]


def _se(result) -> tuple[float, float]:
    return result.estimate, result.se


def _statsmodels_cluster(duel: Duel, *, adjusted: bool) -> tuple[float, float]:
    """statsmodels multiplies each component by (N - 1) / (N - k) as well, divided out here, and has no floor."""
    load = np.bincount(duel.rater)
    columns = [np.ones(len(duel)), duel.side] if adjusted else [np.ones(len(duel))]
    fit = sm.WLS(duel.score, np.column_stack(columns), weights=1.0 / load[duel.rater]).fit(
        cov_type="cluster", cov_kwds={"groups": np.column_stack([duel.rater, duel.pair])}
    )
    votes, parameters = len(duel), len(columns)
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


def _against_r(duel: Duel) -> list[Row]:
    """The crossed interval against R, where R is installed; the script times itself without its start."""
    if shutil.which("Rscript") is None:
        return []
    return [
        Row(
            name="two_way_t (R)",
            ours=lambda: _se(preference.two_way_t(duel)),
            reference=lambda: _sandwich(duel),
            reference_name="R lm and sandwich::vcovCL",
            repeats=1,
        )
    ]


def _sandwich(duel: Duel) -> tuple[list[float], float]:
    columns = np.column_stack([duel.rater, duel.pair, duel.score, 1.0 / np.bincount(duel.rater)[duel.rater]])
    with tempfile.TemporaryDirectory() as folder:
        votes = Path(folder) / "votes.csv"
        np.savetxt(votes, columns, fmt="%.17g", delimiter=",", header="rater,pair,score,weight", comments="")
        return r_answer(_SANDWICH, votes)


def _scipy_user_t(duel: Duel) -> tuple[float, ...]:
    rates = pd.Series(duel.score).groupby(duel.rater).mean()
    interval = stats.ttest_1samp(rates, 0.5).confidence_interval()
    return rates.mean(), *interval, len(rates), len(pd.unique(duel.pair))


def _scipy_binomial(duel: Duel) -> tuple[float, ...]:
    wins, votes, *units = _decisive_counts(duel)
    test = stats.binomtest(wins, votes)
    return test.statistic, *test.proportion_ci(method="exact"), *units


def _statsmodels_wilson(duel: Duel) -> tuple[float, ...]:
    wins, votes, *units = _decisive_counts(duel)
    return wins / votes, *proportion_confint(wins, votes, method="wilson"), *units


def _decisive_counts(duel: Duel) -> tuple[int, int, int, int]:
    """Wins and decisive votes, and the raters and pairs they rest on."""
    decisive = duel.score != 0.5
    units = (len(pd.unique(codes[decisive])) for codes in (duel.rater, duel.pair))
    return int(duel.score[decisive].sum()), int(decisive.sum()), *units


def _looped_bootstrap(duel: Duel) -> float:
    rng = np.random.default_rng(0)
    load = np.bincount(duel.rater)
    raters, pairs = len(load), duel.pair.max() + 1
    rates = np.empty(_BOOTSTRAPS)
    for row in range(_BOOTSTRAPS):
        drawn_raters = np.bincount(rng.integers(raters, size=raters), minlength=raters) / load
        drawn_pairs = np.bincount(rng.integers(pairs, size=pairs), minlength=pairs)
        weight = drawn_raters[duel.rater] * drawn_pairs[duel.pair]
        rates[row] = weight @ duel.score / weight.sum()
    return float(rates.std(ddof=1))


def _descriptive(table: VoteTable, duel: Duel) -> list[Row]:
    return [
        Row(
            name="krippendorff_alpha, estimate alone",
            ours=lambda: [agreement.krippendorff_alpha(table, repetitions=0).estimate],
            reference=lambda: [_krippendorff(table)],
            reference_name="krippendorff.alpha on pandas' cross table",
        ),
        Row(
            name="per_class with BH",
            ours=lambda: [entry.p_adjusted for entry in per_class.per_class(duel).classes],
            reference=lambda: _statsmodels_classes(duel),
            reference_name="statsmodels cluster fit a class and multipletests",
            repeats=1,
        ),
    ]


def _krippendorff(table: VoteTable) -> float:
    decisive = (table.choice != TIE) & ~table.extra["is_repeat"]
    chosen = np.where(table.choice == LEFT, table.arm_left, table.arm_right)[decisive]
    counts = pd.crosstab(table.pair[decisive], chosen).to_numpy()
    return krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")


def _statsmodels_classes(duel: Duel) -> np.ndarray:
    """Adjusted two-sided t p-values of the crossed fit within each class (no floor: it does not bind here)."""
    p_values = []
    for _, own in pd.Series(np.arange(len(duel))).groupby(duel.extra["class_label"]):
        part = duel.rows(own.to_numpy())
        estimate, se = _statsmodels_cluster(part, adjusted=False)
        df = min(len(np.unique(part.rater)), len(np.unique(part.pair))) - 1
        p_values.append(2 * stats.t.sf(abs(estimate - 0.5) / se, df))
    return multipletests(p_values, method="fdr_bh")[1]


def _alone(table: VoteTable, duel: Duel) -> list[Row]:
    """What no other tool offers in this form: our time alone."""
    return [
        Row(name="headline", ours=lambda: preference.headline(duel)),
        Row(name="product_bootstrap, 2000 repetitions", ours=lambda: preference.product_bootstrap(duel), repeats=1),
        Row(name="position_effect", ours=lambda: position.position_effect(duel)),
        Row(name="left shares of all raters", ours=lambda: position.rater_left_shares(table)),
        Row(name="krippendorff_alpha with bootstrap interval", ours=lambda: agreement.krippendorff_alpha(table)),
        Row(name="gwet_ac1 with bootstrap interval", ours=lambda: agreement.gwet_ac1(table)),
        Row(name="fleiss_kappa with bootstrap interval", ours=lambda: agreement.fleiss_kappa(table)),
        Row(name="split_half_correlation", ours=lambda: agreement.split_half_correlation(duel), repeats=1),
        Row(name="consistency", ours=lambda: consistency.consistency(table), repeats=1),
        Row(name="confidence_sequence", ours=lambda: sequential.confidence_sequence(duel), repeats=1),
        Row(name="screen, all rules", ours=lambda: screening.screen(table), repeats=1),
        Row(name="sensitivity, all variants", ours=lambda: sensitivity.sensitivity(duel), repeats=1),
    ]
