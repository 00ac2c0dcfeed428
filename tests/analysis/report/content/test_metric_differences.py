"""Differences of image metrics in the report: direction, sentence, tables, figures, and the pairs that raters saw."""

import itertools

import pytest

from analysis.planning.simulation import Scenario, simulate_votes
from analysis.report import build_report
from analysis.report.content.metric_differences import difference_sentences, differences_section
from analysis.report.figures import figure_specs
from analysis.report.tables import all_tables
from analysis.votes.selection import select_votes

ARMS = ("denoised", "robust", "vanilla")
FEATURES = {"name": "classifier:judge", "sha256": "ab" * 32}
NO_INCEPTION = "not computed: needs the published Inception weights"


def metric(value, half=0.25, n=1300, reason=None):
    bounds = None if value is None else [value - half, value + half]
    return {"value": value, "ci95": bounds, "n": n, "n_reference": 6000, "features": FEATURES, "reason": reason}


def difference(arm, baseline, name, value, label="", pairs="all", n_seeds=1):
    facts = {"arm": arm, "baseline": baseline, "metric": name, "class_label": label, "pairs": pairs, "n_seeds": n_seeds}
    return {**facts, **metric(value)}


def given(arms=ARMS):
    for arm, baseline in itertools.combinations(arms, 2):
        yield difference(arm, baseline, "fid", None) | {"reason": NO_INCEPTION}
        yield difference(arm, baseline, "frechet_distance", 0.5, n_seeds=3)
        yield difference(arm, baseline, "precision", 0.125, n_seeds=3)
        yield difference(arm, baseline, "kid", 0.25, pairs="seen")
        for label in ("class0", "class1"):
            yield difference(arm, baseline, "kid", 0.5, label)


def votes(arms=ARMS):
    strengths = {arm: 0.2 * place for place, arm in enumerate(arms)}
    return simulate_votes(Scenario(raters=30, pairs=20, votes_per_rater=20, strengths=strengths, classes=2, seed=1))


def made(arms=ARMS, **facts):
    return build_report(votes(arms), image_metric_differences=list(given(arms)), **facts)


def tables_of(report):
    return {table.name: table for table in all_tables(report)}


def test_differences_take_the_direction_of_the_comparison():
    (turned,) = differences_section([difference("robust", "vanilla", "kid", 0.5)], [("vanilla", "robust")])
    assert (turned["arm"], turned["value"], turned["ci95"]) == ("vanilla", -0.5, [-0.75, -0.25])
    assert differences_section([difference("a", "b", "kid", 0.5)], [("robust", "vanilla")]) == []
    assert differences_section(None, [("robust", "vanilla")]) == []
    with pytest.raises(ValueError, match="lacks ci95"):
        differences_section([{"arm": "a", "baseline": "b", "metric": "kid", "value": 1}], [("a", "b")])


def test_a_sentence_says_which_arm_is_better_in_what():
    found = differences_section(
        [
            difference("robust", "vanilla", "kid", 0.5, n_seeds=3),
            difference("robust", "vanilla", "precision", 0.5, n_seeds=3),
            difference("robust", "vanilla", "class_accuracy", 0.125, n_seeds=3),
        ],
        [("robust", "vanilla")],
    )
    (sentence,) = difference_sentences(found, [("robust", "vanilla"), ("other", "vanilla")])
    assert sentence.startswith("Over the same 1,300 image pairs and 3 seeds, robust less vanilla: ")
    assert "KID 0.500 [0.250, 0.750], worse" in sentence
    assert "precision 0.500 [0.250, 0.750], better" in sentence
    assert "class accuracy 0.125 [−0.125, 0.375], undecided (features of classifier:judge)" in sentence
    assert difference_sentences([], [("robust", "vanilla")]) == []


def test_tables_hold_differences_in_total_by_class_and_of_pairs_seen():
    report = made()
    whole = tables_of(report)["image_metric_differences"]
    assert len(whole.rows) == 9
    assert [row["pairs"] for row in whole.rows[:3]] == ["all pairs", "all pairs", "pairs that raters saw"]
    assert whole.note.count("Not computed: FID (needs the published Inception weights).") == 1
    by_class = tables_of(report)["image_metric_differences_by_class"]
    assert [row["class_label"] for row in by_class.rows[:2]] == ["class0", "class1"]


def test_metrics_of_pairs_seen_stand_beside_those_of_all():
    every = {arm: {"kid": metric(0.5), "fid": metric(None, reason=NO_INCEPTION)} for arm in ARMS}
    seen = {arm: {"kid": metric(0.25, n=20)} for arm in ARMS}
    report = build_report(votes(), image_metrics=every, image_metrics_seen=seen)
    found = tables_of(report)["image_metrics"]
    assert [(row["value"], row["n"], row["seen_value"], row["seen_n"]) for row in found.rows] == [
        (0.5, 1300, 0.25, 20)
    ] * 3
    assert "Reference images: 6,000." in found.note
    assert found.note.count("Inception") == 1, "three arms, one line"


def test_three_arms_stand_below_each_other_and_two_side_by_side():
    by_class = {arm: {label: {"kid": metric(0.5)} for label in ("class0", "class1")} for arm in ARMS}
    three = tables_of(build_report(votes(), image_metrics_by_class=by_class))["image_metrics_by_class"]
    assert [row["arm"] for row in three.rows] == [*ARMS, *ARMS]
    assert len(three.view().headers) == 6
    two = {arm: by_class[arm] for arm in ARMS[1:]}
    side_by_side = tables_of(build_report(votes(ARMS[1:]), image_metrics_by_class=two))["image_metrics_by_class"]
    assert {"value_0", "value_1"} <= set(side_by_side.rows[0])


def test_figures_have_a_panel_a_metric_and_describe_every_interval():
    report = made(ARMS[1:])
    specs = {spec.name: spec for spec in figure_specs(report, select_votes(votes(ARMS[1:])))}
    whole = specs["image_metric_differences"]
    assert "robust − vanilla 0.500 [0.250, 0.750]" in whole.description
    assert [axes.get_title() for axes in whole.draw().axes] == ["Fréchet distance", "Precision"]
    by_class = specs["image_metric_differences_by_class"]
    assert "class1 0.500" in by_class.description
    assert len(by_class.draw().axes) == 1
    assert len(report["text"]["image_metrics"]) == 1


def test_a_report_without_differences_has_no_place_for_them():
    report = build_report(votes())
    assert report["image_metric_differences"] == []
    assert not {"image_metric_differences", "image_metrics"} & set(tables_of(report))
