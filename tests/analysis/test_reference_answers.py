"""Closed forms against R (t.test, binom.test, prop.test, p.adjust, rle, sandwich::vcovCL); see ``closed_forms.R``."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.inference.counts import count_votes
from analysis.inference.crossing import crossed_variance, crossing_of, rater_averaged_weights
from analysis.preference.per_class import adjusted_p_values, per_class
from analysis.preference.position import adjusted_rate, left_rate
from analysis.preference.rate import (
    binomial_exact,
    clopper_pearson,
    rater_mean_decisive_t,
    rater_mean_t,
    two_way_t,
    wilson,
)
from analysis.raters.screening import screen
from tests.analysis.votes_factory import stored_names, stored_table

STORED = json.loads((Path(__file__).parents[1] / "data" / "analysis" / "closed_forms.json").read_text())
NAMES = sorted(STORED["answers"])


def close(value, relative=1e-9):
    return pytest.approx(value, rel=relative, abs=1e-12)


def table_of(name):
    """The votes between robust and vanilla, which is what the R script keeps of the table with four arms."""
    table = stored_table(name)
    kept = [table.arms.index(arm) for arm in ("robust", "vanilla")]
    return table.rows(np.isin(table.arm_left, kept) & np.isin(table.arm_right, kept))


def comparison_of(name):
    return stored_table(name).comparison("robust", "vanilla")


def agrees(result, answer):
    assert result.estimate == close(answer["estimate"])
    assert result.ci95 == close((answer["low"], answer["high"]))
    assert result.p_value == close(answer["p_value"])
    assert result.df == answer["df"]


def test_every_stored_table_has_answers():
    assert stored_names() == NAMES
    assert len(NAMES) >= 10
    assert STORED["versions"]["R"].startswith("R version")


@pytest.mark.parametrize("name", NAMES)
def test_counts(name):
    assert count_votes(comparison_of(name)).as_json() == STORED["answers"][name]["counts"]


@pytest.mark.parametrize("name", NAMES)
def test_two_way_interval_is_that_of_sandwich(name):
    agrees(two_way_t(comparison_of(name)), STORED["answers"][name]["two_way"])
    assert two_way_t(comparison_of(name)).se == close(STORED["answers"][name]["two_way"]["se"])


@pytest.mark.parametrize("name", NAMES)
def test_adjusted_interval_is_that_of_the_weighted_regression(name):
    agrees(adjusted_rate(comparison_of(name)), STORED["answers"][name]["two_way_adjusted"])


@pytest.mark.parametrize("name", NAMES)
def test_the_three_variance_components(name):
    comparison = comparison_of(name)
    crossing = crossing_of(comparison)
    weights = rater_averaged_weights(crossing)
    parts = crossed_variance(weights * (comparison.score - weights @ comparison.score), crossing)
    answer = STORED["answers"][name]["two_way"]
    assert (parts.rater, parts.pair, parts.cell) == close((answer["v_rater"], answer["v_pair"], answer["v_cell"]))
    assert parts.rater + parts.pair - parts.cell == close(answer["v_both"])


@pytest.mark.parametrize("name", NAMES)
def test_means_over_users(name):
    agrees(rater_mean_t(comparison_of(name)), STORED["answers"][name]["rater_mean"])
    agrees(rater_mean_decisive_t(comparison_of(name)), STORED["answers"][name]["rater_mean_decisive"])


@pytest.mark.parametrize("name", NAMES)
def test_independent_intervals(name):
    comparison, answer = comparison_of(name), STORED["answers"][name]["decisive"]
    assert clopper_pearson(comparison).ci95 == close((answer["low"], answer["high"]))
    assert binomial_exact(comparison).p_value == close(answer["p_value"])
    assert wilson(comparison).ci95 == close((answer["wilson_low"], answer["wilson_high"]))
    assert wilson(comparison).p_value == close(answer["wilson_p"])


@pytest.mark.parametrize("name", NAMES)
def test_left_rate(name):
    result, answer = left_rate(table_of(name)), STORED["answers"][name]["left"]
    assert result.estimate == close(answer["successes"] / (answer["successes"] + answer["failures"]))


@pytest.mark.parametrize("name", NAMES)
def test_longest_runs(name):
    runs = {row.rater: row.value for row in screen(table_of(name), [{"rule": "same_side_run"}])}
    assert runs == STORED["answers"][name]["longest_runs"]


def test_classes_and_their_adjusted_p_values():
    answer = STORED["answers"]["repeats_and_classes"]["classes"]
    outcome = per_class(comparison_of("repeats_and_classes"))
    assert [entry.class_label for entry in outcome.classes] == answer["labels"]
    assert [entry.result.p_value for entry in outcome.classes] == close(answer["p_value"])
    assert [entry.p_adjusted for entry in outcome.classes] == close(answer["bh"])
    assert adjusted_p_values(answer["p_value"], "holm") == close(answer["holm"])
