"""Image metrics beside preference, over classes."""

from __future__ import annotations

import pytest

from analysis.report.beside_images import metric_correlations

CLASSES = [f"class {number:02}" for number in range(12)]


def comparison(rates: dict[str, float | None]) -> dict:
    entries = [{"class_label": label, "result": {"estimate": rate}} for label, rate in rates.items()]
    return {"arm": "robust", "baseline": "vanilla", "per_class": entries}


def metrics(values: dict[str, float | None], name: str = "kid") -> dict:
    return {label: {name: {"value": value, "reason": None if value else "too few"}} for label, value in values.items()}


def test_a_metric_that_falls_as_preference_rises_correlates_at_minus_one() -> None:
    rates = {label: 0.4 + 0.01 * place for place, label in enumerate(CLASSES)}
    by_class = {
        "robust": metrics({label: 2.0 - 0.1 * place for place, label in enumerate(CLASSES)}),
        "vanilla": metrics(dict.fromkeys(CLASSES, 1.0)),
    }
    (found,) = metric_correlations(comparison(rates), by_class, seed=1)
    assert found["estimate"] == pytest.approx(-1.0)
    assert (found["metric"], found["arm"], found["baseline"]) == ("kid", "robust", "vanilla")


def test_classes_with_one_number_only_are_left_out_and_counted() -> None:
    rates = {label: (None if place == 0 else 0.4 + 0.01 * place) for place, label in enumerate(CLASSES)}
    ours = {label: (None if place == 1 else place * 1.0 + 1.0) for place, label in enumerate(CLASSES)}
    by_class = {"robust": metrics(ours), "vanilla": metrics(dict.fromkeys(CLASSES, 1.0))}
    (found,) = metric_correlations(comparison(rates), by_class, seed=1)
    assert found["estimate"] == pytest.approx(1.0)
    assert "2 classes have only one of the two numbers" in found["reason"]


def test_few_classes_are_refused_and_without_metrics_there_is_nothing() -> None:
    rates = dict.fromkeys(CLASSES[:3], 0.5)
    by_class = {"robust": metrics(dict.fromkeys(CLASSES[:3], 1.0)), "vanilla": metrics(dict.fromkeys(CLASSES[:3], 2.0))}
    (found,) = metric_correlations(comparison(rates), by_class, seed=1)
    assert found["estimate"] is None
    assert "fewer than 10" in found["reason"]
    assert metric_correlations(comparison(rates), {}, seed=1) == []
