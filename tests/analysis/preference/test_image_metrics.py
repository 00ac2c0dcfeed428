import numpy as np
import pytest
from scipy import stats

from analysis.preference.image_metrics import preference_against_metric


def classes(count, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.3, 0.8, count)
    labels = [f"class{n}" for n in range(count)]
    differences = -rates + rng.normal(0, noise, count)
    return dict(zip(labels, rates, strict=True)), dict(zip(labels, differences, strict=True))


def test_the_correlation_is_scipys():
    rates, differences = classes(40)
    answer = stats.spearmanr(list(rates.values()), list(differences.values()))
    result = preference_against_metric(rates, differences)
    assert result.estimate == pytest.approx(answer.statistic, abs=1e-12)
    assert result.p_value == pytest.approx(answer.pvalue)
    assert result.ci95[0] < result.estimate < result.ci95[1]


def test_the_bootstrap_draws_classes():
    rates, differences = classes(30, noise=0.3)
    x, y = np.array(list(rates.values())), np.array(list(differences.values()))
    order = np.array(sorted(range(30), key=lambda n: f"class{n}"))
    x, y = x[order], y[order]
    drawn = np.random.default_rng(2).integers(30, size=(200, 30))
    expected = [stats.spearmanr(x[d], y[d]).statistic for d in drawn]
    result = preference_against_metric(rates, differences, seed=2, repetitions=200)
    assert result.se == pytest.approx(np.std(expected, ddof=1))


def test_fewer_than_ten_classes_are_plotted_only():
    result = preference_against_metric(*classes(9))
    assert result.estimate is None
    assert "plotted" in result.reason


def test_classes_with_one_of_the_two_numbers_are_counted():
    rates, differences = classes(12)
    differences.pop("class3")
    assert "1 classes" in preference_against_metric(rates, differences).reason


def test_equal_rates_have_no_ranks():
    rates, differences = classes(12)
    assert preference_against_metric(dict.fromkeys(rates, 0.5), differences).estimate is None
