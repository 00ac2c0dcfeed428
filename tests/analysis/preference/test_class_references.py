"""Tests by class against lme4's crossed models, in which a rater may prefer differently in each class (classes.R)."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.preference.per_class import PerClass, per_class
from tests.analysis.votes_factory import TABLES, make_comparison

DATA: Path = TABLES.parent
ANSWERS = json.loads((DATA / "classes.json").read_text(encoding="utf-8"))["answers"]
# Tables in which every rater saw every pair.
FULL = sorted(name for name in ANSWERS if not name.endswith("sparse"))


@cache
def _outcome(name: str) -> PerClass:
    with (DATA / "classes.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["table"] == name]
    columns = ([float(row["score"]) for row in rows], *([int(row[key]) for row in rows] for key in ("rater", "pair")))
    return per_class(make_comparison(*columns, class_label=np.array([row["class_label"] for row in rows])))


def _of_ours(name: str, fact: str) -> np.ndarray:
    by_label = {entry.class_label: getattr(entry.result, fact) for entry in _outcome(name).classes}
    return np.array([by_label[label] for label in ANSWERS[name]["classes"]], dtype=np.float64)


def test_there_are_tables_of_both_designs():
    assert len(FULL) >= 5
    assert len(ANSWERS) - len(FULL) >= 2


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_rates_and_errors_are_those_of_lme4(name):
    wanted = ANSWERS[name]
    # Where raters saw different pairs, lme4 weighs votes by what they tell and we weigh raters alike.
    assert _of_ours(name, "estimate") == pytest.approx(wanted["rates"], abs=1e-6 if name in FULL else 0.05)
    ratio = _of_ours(name, "se") / np.array(wanted["errors"])
    assert 0.95 < stats.gmean(ratio) < 1.15
    assert ratio.min() > 0.7
    assert ratio.max() < 1.3


def test_p_values_rank_as_lme4s_and_are_seldom_smaller():
    """Its Wald z knows no degrees of freedom: with two to six pairs a class it calls too much significant."""
    ours = np.concatenate([_of_ours(name, "p_value") for name in sorted(ANSWERS)])
    theirs = np.concatenate([ANSWERS[name]["p_values"] for name in sorted(ANSWERS)])
    assert stats.spearmanr(ours, theirs).statistic > 0.95
    assert np.mean(ours >= theirs) > 0.9
    assert np.mean(ours < 0.05) <= np.mean(theirs < 0.05)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_heterogeneity_is_seen_where_lme4_sees_it(name):
    ours, theirs = _outcome(name).heterogeneity.p_value, ANSWERS[name]["heterogeneity"]["p_value"]
    # A likelihood ratio counts pairs as known spread: its p is the smaller one.
    assert ours >= theirs
    assert (ours < 0.001) == (theirs < 0.001)
