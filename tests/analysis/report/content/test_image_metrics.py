"""Image metrics and visible differences beside preference, over classes and pairs."""

from __future__ import annotations

import pytest

from analysis.report.content.image_metrics import metric_correlations, preference_by_difference
from tests.analysis.votes_factory import make_comparison

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


PAIRS = [f"pair {number:02}" for number in range(24)]


def votes_on_pairs(order: list[int]):
    """Two votes a pair: both for the baseline on the first twelve pairs, split on six, both for the arm on six."""
    scores = {pair: [0.0, 0.0] if pair < 12 else [0.0, 1.0] if pair < 18 else [1.0, 1.0] for pair in range(24)}
    rows = [(score, rater, pair) for pair in order for rater, score in enumerate(scores[pair])]
    return make_comparison(*map(list, zip(*rows, strict=True)))


def test_preference_is_shown_for_groups_of_pairs_from_alike_to_different() -> None:
    distances = {pair: 0.01 * place for place, pair in enumerate(PAIRS)}
    alike, different = preference_by_difference(votes_on_pairs(list(range(24))), PAIRS, distances)
    assert alike == {"distance": pytest.approx(0.055), "rate": 0.0, "ci95": None, "n_pairs": 12, "n_votes": 24}
    assert (different["rate"], different["n_pairs"], different["n_votes"]) == (0.75, 12, 24)
    # Six rates of 1/2 and six of 1: standard deviation sqrt(12 / 16 / 11), and t(11) of 0.975 is 2.200985.
    half = 2.200985 * (12 / 16 / 11) ** 0.5 / 12**0.5
    assert different["ci95"] == pytest.approx([0.75 - half, 0.75 + half], rel=1e-6)
    assert preference_by_difference(votes_on_pairs(list(range(23, -1, -1))), PAIRS, distances) == [alike, different]


def test_pairs_without_a_distance_are_left_out_and_few_pairs_make_no_groups() -> None:
    comparison = votes_on_pairs(list(range(24)))
    some = {pair: 0.01 * place for place, pair in enumerate(PAIRS) if place >= 4}
    assert [group["n_pairs"] for group in preference_by_difference(comparison, PAIRS, some)] == [10, 10]
    assert preference_by_difference(comparison, PAIRS, dict(list(some.items())[1:])) == []
    assert preference_by_difference(comparison, PAIRS, {}) == []
