"""Graded preferences: the same answers as ordinal::clmm, symmetry, and the older model where there is one grade."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest

from analysis.regression.ordinal import ordinal_mixed
from analysis.regression.strength import graded, mean_grade, strength_mixed
from analysis.votes.table import Comparison
from tests.analysis.votes_factory import TABLES, make_comparison

REFERENCE = json.loads((TABLES.parent / "strength.json").read_text(encoding="utf-8"))


def of_grades(grades, rater, pair, side) -> Comparison:
    grades = np.asarray(grades)
    score = np.where(grades > 0, 1.0, np.where(grades < 0, 0.0, 0.5))
    strength = np.where(grades == 0, np.nan, np.abs(grades).astype(float))
    return make_comparison(score, rater, pair, side, strength=strength)


def stored(*, ties: bool = True) -> Comparison:
    with (TABLES.parent / "graded.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    kept = [row for row in rows if ties or row["grade"]]
    return of_grades(*([row[name] for row in kept] for name in ("grade", "rater", "pair", "side")))


def reference_thresholds(name: str) -> list[float]:
    """Return clmm's thresholds about their middle, the positive ones: its middle is minus our intercept."""
    values = np.array(list(REFERENCE[name]["thresholds"].values()))
    return [value for value in values - values.mean() if value > 1e-9]


@pytest.mark.parametrize("name", ["ties", "no_ties"])
def test_graded_votes_agree_with_clmm(name: str) -> None:
    fit, reference = strength_mixed(stored(ties=name == "ties")), REFERENCE[name]
    values: dict[str, Any] = reference["thresholds"]
    assert fit.log_likelihood == pytest.approx(reference["log_likelihood"], abs=2e-4)
    assert fit.intercept.estimate == pytest.approx(-np.mean(list(values.values())), abs=2e-3)
    assert fit.position.estimate == pytest.approx(reference["coefficients"]["side"], abs=2e-3)
    assert fit.position.se == pytest.approx(reference["se"]["side"], rel=1e-2)
    assert [one.estimate for one in fit.thresholds] == pytest.approx(reference_thresholds(name), abs=2e-3)
    assert (fit.sd_rater, fit.sd_pair) == pytest.approx((reference["sd_rater"], reference["sd_pair"]), abs=3e-3)


def test_swapping_the_arms_turns_the_preference_and_keeps_the_thresholds() -> None:
    votes = stored()
    _, grades = graded(votes)
    one = strength_mixed(votes)
    other = strength_mixed(of_grades(-grades, votes.rater, votes.pair, -votes.side))
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    assert other.marginal_score.estimate == pytest.approx(1.0 - one.marginal_score.estimate, abs=1e-6)
    assert other.position.estimate == pytest.approx(one.position.estimate, abs=1e-5)
    estimates = [[threshold.estimate for threshold in fit.thresholds] for fit in (one, other)]
    assert estimates[0] == pytest.approx(estimates[1], abs=1e-5)


def test_the_scale_of_numbers_does_not_matter_only_their_order() -> None:
    votes = stored()
    wider = votes.extra["strength"] * 7 + 2
    other = make_comparison(votes.score, votes.rater, votes.pair, votes.side, strength=wider)
    assert strength_mixed(other).log_likelihood == pytest.approx(strength_mixed(votes).log_likelihood, abs=1e-9)


def test_a_graded_fit_beside_the_ordinal_model_of_direction() -> None:
    votes = stored()
    fit, direction = strength_mixed(votes), ordinal_mixed(votes)
    assert fit.marginal_score.estimate == pytest.approx(direction.marginal_score.estimate, abs=0.03)
    assert fit.thresholds[0].estimate == pytest.approx(direction.half_width.estimate, rel=0.2)
    json.dumps(fit.as_json(), allow_nan=False)


def test_without_heterogeneity_the_shares_of_grades_are_met_exactly() -> None:
    """Both SDs at 0, one side, as many parameters as symmetric shares allow: the likelihood is that of the shares."""
    grades = np.repeat([-2, -1, 0, 1, 2], [10, 20, 30, 20, 10])
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(90)
        rows = np.arange(90)
        fit = strength_mixed(of_grades(grades[order], rows % 9, rows // 9, np.full(90, 0.5)))
        if fit.singular == ("raters", "pairs"):
            break
    assert fit.singular == ("raters", "pairs")
    shares = np.array([10, 20, 30, 20, 10]) / 90
    assert fit.log_likelihood == pytest.approx(90 * np.sum(shares * np.log(shares)), abs=1e-6)
    assert fit.marginal_score.estimate == pytest.approx(0.5, abs=1e-6)


def test_votes_without_a_grade_are_left_out_and_ties_stay() -> None:
    votes = stored()
    strength = votes.extra["strength"].copy()
    first = np.flatnonzero(~np.isnan(strength))[:10]
    strength[first] = np.nan
    fewer, _ = graded(make_comparison(votes.score, votes.rater, votes.pair, votes.side, strength=strength))
    assert len(fewer) == len(votes) - 10
    assert np.count_nonzero(fewer.score == 0.5) == np.count_nonzero(votes.score == 0.5)


@pytest.mark.parametrize(
    ("grades", "reason"),
    [
        ([1, 2, 3, 1] * 4, "same arm"),
        ([1, -1, 0, 1] * 4, "only one grade"),
        ([0, 0, 0, 0] * 4, "same arm"),
        ([], "no graded votes"),
    ],
)
def test_what_says_nothing_is_refused_with_the_reason(grades: list[int], reason: str) -> None:
    rows = np.arange(len(grades))
    fit = strength_mixed(of_grades(np.array(grades, dtype=int), rows % 4, rows // 4, np.where(rows % 2, 0.5, -0.5)))
    assert fit.marginal_score.estimate is None
    assert reason in fit.marginal_score.reason
    json.dumps(fit.as_json(), allow_nan=False)


def test_mean_grade_is_signed_and_averaged_over_raters() -> None:
    rater, pair = np.repeat([0, 1, 2], [4, 2, 2]), np.array([0, 1, 2, 3, 0, 1, 2, 3])
    result = mean_grade(of_grades([3, 3, 3, 3, -1, -1, 0, 1], rater, pair, np.full(8, 0.5)))
    assert result.estimate == pytest.approx((3 - 1 + 0.5) / 3)
    assert result.n_votes == 8
    assert mean_grade(of_grades([1], [0], [0], [0.5])).ci95 is None
