"""Alpha spending against R's rpact (``spending.R``), published tables and simulation."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.inference.spending import (
    boundaries,
    crossing_probability,
    information_inflation,
    nominal_levels,
    repeated_p_value,
    spent,
)

STORED = json.loads((Path(__file__).parents[2] / "data" / "analysis" / "spending.json").read_text())
CASES = [
    pytest.param(answer, id=f"{answer['spending']}, {len(answer['fractions'])} looks, {answer['level']}")
    for answer in STORED["answers"]
]


def test_there_are_reference_answers():
    assert len(CASES) == 16
    assert STORED["versions"]["rpact"]


@pytest.mark.parametrize("answer", CASES)
def test_boundaries_and_inflation_are_those_of_rpact(answer):
    fractions, options = answer["fractions"], {"level": answer["level"], "spending": answer["spending"]}
    critical = np.array(answer["critical"])
    ours = boundaries(fractions, **options)
    reached = critical < 6.0
    assert ours[reached] == pytest.approx(critical[reached], abs=3e-4)
    assert (ours[~reached] > 5.9).all()
    assert information_inflation(fractions, **options) == pytest.approx(answer["inflation"], abs=3e-4)


def test_five_equal_looks_have_the_published_boundaries():
    """Jennison and Turnbull (2000), and Reboussin et al. (2000): Lan and DeMets' functions, two-sided 5 %."""
    fractions = [0.2, 0.4, 0.6, 0.8, 1.0]
    assert boundaries(fractions).round(3).tolist() == [4.877, 3.357, 2.680, 2.290, 2.031]
    assert boundaries(fractions, spending="pocock").round(3).tolist() == [2.438, 2.427, 2.410, 2.397, 2.386]


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("fractions", [[0.5, 1.0], [0.1, 0.13, 0.5, 0.98, 1.0]])
def test_a_true_null_is_rejected_with_the_level_over_all_looks(fractions, spending):
    steps = np.sqrt(np.diff([0.0, *fractions]))
    paths = np.cumsum(np.random.default_rng(5).normal(size=(200_000, len(fractions))) * steps, axis=1)
    z = paths / np.sqrt(fractions)
    rejected = (np.abs(z) >= boundaries(fractions, spending=spending)).any(axis=1).mean()
    assert rejected == pytest.approx(0.05, abs=0.002)


def test_one_look_is_the_ordinary_test():
    assert boundaries([1.0])[0] == pytest.approx(stats.norm.isf(0.025))
    assert nominal_levels([1.0])[0] == pytest.approx(0.05)
    assert repeated_p_value(0.03, [1.0]) == 0.03
    assert information_inflation([1.0]) == pytest.approx(1.0)


def test_the_whole_level_is_spent_at_the_end_and_none_before_the_start():
    for spending in ("obrien_fleming", "pocock"):
        assert (spent(0.0, spending=spending), spent(1.0, spending=spending)) == (0.0, 0.05)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("look", [1, 2, 3])
def test_the_repeated_p_value_is_the_level_exactly_at_the_boundary(spending, look):
    fractions = [0.3, 0.6, 1.0][:look]
    nominal = nominal_levels(fractions, spending=spending)[-1]
    assert repeated_p_value(nominal, fractions, spending=spending) == pytest.approx(0.05, rel=0.01)
    smaller, larger = (repeated_p_value(p, fractions, spending=spending) for p in (nominal / 2, min(1, nominal * 2)))
    assert smaller < 0.05 < larger


def test_crossing_without_drift_is_half_the_level_a_side():
    fractions = [0.25, 0.5, 0.75, 1.0]
    assert crossing_probability(0.0, fractions, boundaries(fractions)) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize("fractions", [[], [0.5, 0.4], [0.5, 0.5], [0.5, 1.2], [0.0, 1.0]])
def test_looks_that_are_no_increasing_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match="information fractions"):
        boundaries(fractions)
