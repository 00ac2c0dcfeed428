import pytest

from analysis.report import build_report
from analysis.report.figures import figure_specs
from analysis.report.tables import all_tables, estimate_table
from analysis.votes.reading import votes_from_rows
from analysis.votes.selection import select_votes
from tests.analysis.vote_rows import study_rows

METRIC = {
    "value": 12.5,
    "ci95": [11.0, 14.0],
    "n": 200,
    "n_reference": 300,
    "features": {"name": "digits"},
    "reason": None,
}
NO_FID = {"value": None, "ci95": None, "n": 200, "n_reference": 300, "features": None, "reason": "no Inception weights"}


@pytest.fixture(scope="module")
def table():
    return votes_from_rows(study_rows()).table


def tables_of(report):
    return {entry.name: entry for entry in all_tables(report)}


def figures_of(report, table):
    return {spec.name: spec for spec in figure_specs(report, select_votes(table))}


def test_headline_shows_the_three_lines_and_their_labels(table):
    report = build_report(table)
    rows = tables_of(report)["headline"].rows
    assert [row["line"].split(":")[0] for row in rows] == ["First line", "Second line", "Third line"]
    comparison = report["comparisons"][0]
    assert [row["estimate"] for row in rows] == [
        comparison["headline"]["estimate"],
        comparison["methods"]["rater_mean_t"]["estimate"],
        comparison["methods"]["glmm"]["marginal_rate"]["estimate"],
    ]
    assert "for these pairs" in rows[1]["line"]


def test_equivalence_is_tested_under_a_planned_margin_only(table):
    without = build_report(table)["comparisons"][0]
    assert without["equivalence"]["margin"] is None
    assert "margin" in without["methods"]["tost"]["reason"]
    report = build_report(table, plan={"margin": 0.4})
    assert report["comparisons"][0]["equivalence"]["is_equivalent"] is True
    headline = tables_of(report)["headline"]
    assert "±40 points" in headline.rows[-1]["line"]
    assert "Test of equivalence within ±40 points" in headline.note
    narrow = build_report(table, plan={"margin": 0.01})
    assert "the verdict counts family and looks" in tables_of(narrow)["headline"].note
    assert narrow["verdict"]["kind"] not in ("equivalent", "preferred_within_margin")


def test_a_plan_with_any_number_of_looks_puts_the_confidence_sequence_first_hand(table):
    report = build_report(table, plan={"looks": "anytime"})
    assert "confidence sequence" in report["text"]["findings"][0]
    assert any("Any number of looks" in row["line"] for row in tables_of(report)["headline"].rows)
    assert "any number" in report["text"]["methods"]
    assert "No plan states how often" in build_report(table)["text"]["methods"]


def test_planned_rules_screen_the_raters_and_change_the_sensitivity_row(table):
    report = build_report(table, plan={"exclusion_rules": [{"rule": "too_fast", "parameters": {"median_ms": 2000}}]})
    summary = report["screening_summary"]
    assert [rule["rule"] for rule in summary["rules"]] == ["too_fast"]
    assert summary["is_planned"]
    assert "2000 ms" in summary["rules"][0]["description"]
    flagged = {row["rater"] for row in report["screening"] if row["flagged"]}
    (variant,) = [entry for entry in report["sensitivity"] if entry["name"] == "flagged_left_out"]
    assert flagged
    assert variant["n_raters"] == report["data"]["raters"] - len(flagged)
    assert "default limits" in tables_of(build_report(table))["screening"].note
    with pytest.raises(ValueError, match="no screening rule 'odd'"):
        build_report(table, plan={"exclusion_rules": ["odd"]})
    with pytest.raises(ValueError, match="give a list"):
        build_report(table, plan={"exclusion_rules": "too_fast"})


def test_repeats_feed_consistency_and_nothing_else(table):
    report = build_report(table)
    assert report["consistency"]["same_answer"]["n_votes"] == 12
    assert report["data"]["excluded"]["repeated pair"] == 12


def test_image_metrics_stand_beside_the_votes(table):
    metrics = {
        "robust": {"fid": NO_FID, "frechet_distance": METRIC, "kid": {**METRIC, "value": 0.0021, "ci95": [0.001, 0.2]}},
        "vanilla": {"frechet_distance": {**METRIC, "value": 15}},
    }
    report = build_report(table, image_metrics=metrics)
    tables = tables_of(report)
    assert [row["frechet_distance"] for row in tables["arms"].rows] == [12.5, 15]
    view = tables["image_metrics"].view()
    assert not any("not computed" in row or "FID" in row for row in view.rows)
    (small,) = [row for row in view.rows if "KID" in row]
    assert {"0.00210", "[0.00100, 0.200]"} <= set(small)
    assert "200 images" in tables["arms"].rows[0]["reason"]
    assert view.notes[0].count("Not computed: FID (no Inception weights).") == 1
    assert "image_metrics" in figures_of(report, table)


def test_several_arms_get_strengths_matrix_and_their_figures():
    table = votes_from_rows(study_rows(arms=("a", "b", "c"))).table
    report = build_report(table)
    tables = tables_of(report)
    assert {"strengths_bradley_terry", "strengths_davidson", "win_matrix", "contrasts", "headline_3"} <= tables.keys()
    counts = {(c["arm"], c["baseline"]): c["counts"] for c in report["comparisons"]}
    assert tables["win_matrix"].rows[0]["over b"] == counts["a", "b"]["wins"]
    assert tables["win_matrix"].rows[1]["over a"] == counts["a", "b"]["losses"]
    assert {"win_matrix", "strengths", "forest_3"} <= figures_of(report, table).keys()
    equality = report["ranking"]["bradley_terry"]["equality"]
    note = tables["strengths_bradley_terry"].note.replace("\u00a0", " ")
    assert f"All strengths equal: F(2, {equality['wald_df']}) = {equality['wald_f']:.2f}, clustered, p " in note
    assert f"likelihood ratio {equality['likelihood_ratio']:.1f} on 2 degrees of freedom" in note


def test_the_classes_stand_with_the_distribution_of_their_true_rates(table):
    report = build_report(table)
    family = report["comparisons"][0]["class_family"]
    note = tables_of(report)["classes"].note.replace("\u00a0", " ")
    low, high = family["mean"]["ci95"]
    assert f"true rates of mean {100 * family['mean']['estimate']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]" in note
    assert f"standard deviation {100 * family['sd']['estimate']:.1f} points" in note
    two = votes_from_rows(row for row in study_rows() if row["class_label"] in ("class 0", "class 1")).table
    assert "random effect" not in tables_of(build_report(two))["classes"].note


def test_classes_stand_under_their_names_in_tables_figures_and_sentences():
    names = {f"class {number}": f"Kind {number}" for number in range(5)}
    rows = [row | {"class_name": names[row["class_label"]]} for row in study_rows()]
    table = votes_from_rows(rows).table
    metrics = {arm: {label: {"kid": METRIC} for label in names} for arm in table.arms}
    report = build_report(table, image_metrics_by_class=metrics)
    assert report["data"]["class_names"] == names
    # Joined by label, shown by name.
    entries = report["comparisons"][0]["per_class"]
    assert [(entry["class_label"], entry["class_name"]) for entry in entries] == sorted(names.items())
    tables = tables_of(report)
    assert {row["line"] for row in tables["classes"].rows} == set(names.values())
    assert {row["class_label"] for row in tables["image_metrics_by_class"].rows} == set(names.values())
    assert "Kind 0: " in figures_of(report, table)["classes"].description


def test_every_figure_of_a_full_study_is_there_with_its_n(table):
    figures = figures_of(build_report(table), table)
    assert {"votes", "forest", "raters", "pairs", "classes", "sides", "running", "response_times"} <= figures.keys()
    for spec in figures.values():
        assert "n = " in spec.title, spec.name
        assert spec.description


def test_every_result_of_the_report_is_in_the_tidy_table_once(table):
    report = build_report(table)
    rows = estimate_table(report).rows
    names = [row["quantity"] for row in rows]
    assert len(names) == len(set(names))
    wanted = {"comparisons[0].methods.glmm.marginal_rate", "agreement.gwet_ac1", "sensitivity[ties_dropped]"}
    assert wanted <= set(names)
    assert "comparisons[0].per_class[class 0].result" in names
