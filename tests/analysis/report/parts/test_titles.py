import csv
import io
import json
from pathlib import Path

import pytest
from jsonschema import validate

import analysis.report
from analysis.report import build_report, write_report
from analysis.report.parts.titles import titled
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows

SCHEMA = json.loads((Path(analysis.report.__file__).parent / "schema.json").read_text())
TITLES = {"SDXL-1-0": "SDXL 1.0 (Größe)", "ours_v2-1": "ours_v2.1", "SDXL": "SDXL"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    table = votes_from_rows(study_rows(arms=tuple(TITLES))).table
    metric = {"value": 3.5, "ci95": None, "n": 9, "n_reference": 9, "features": None, "reason": None}
    metrics = {arm: {"kid": metric} for arm in TITLES}
    report = build_report(table, study={"title": "A study", "arm_titles": TITLES}, image_metrics=metrics)
    write_report(report, table, folder)
    return folder


def test_people_read_titles_and_programs_names(written):
    page = (written / "report.html").read_text()
    assert TITLES["SDXL-1-0"] in page
    assert "ours_v2.1" in page
    for name in ("SDXL-1-0", "ours_v2-1"):
        assert name not in page
    drawn = "".join(path.read_text() for path in (written / "figures").glob("*.svg"))
    assert "SDXL-1-0" not in drawn
    assert "SDXL-1-0" not in (written / "text.tex").read_text()
    report = json.loads((written / "report.json").read_text())
    assert {one["arm"] for one in report["comparisons"]} <= set(TITLES)
    assert report["image_metrics"].keys() == TITLES.keys()
    rows = csv.DictReader(io.StringIO((written / "tables/image_metrics.csv").read_text()))
    assert {row["arm"] for row in rows} == TITLES.keys()


def test_facts_and_words_of_the_report_are_no_names():
    report = {
        "study": {"arm_titles": {"a": "Model A", "votes": "Model V"}, "slug": "a"},
        "influence": {"arm": "a", "removals": [{"unit": "votes"}]},
        "image_metrics": {"a": {"fid": 1.0}},
    }
    assert titled(report) == {
        **report,
        "influence": {"arm": "Model A", "removals": [{"unit": "votes"}]},
        "image_metrics": {"Model A": {"fid": 1.0}},
    }


@pytest.mark.parametrize("arms", [("a", "vote"), ("baseline", "the"), ("raters", "rate", "95"), ("tie", "a", "left")])
def test_arms_named_by_words_of_the_sentences_change_no_other_word(arms):
    """The methods of a study with an arm "baseline" gave 0 "for the SD 1.5 (base)", with an arm "a" a vote to it."""
    titles = {arm: f"Model {number}" for number, arm in enumerate(arms)}
    neutral = {arm: f"zz{number}" for number, arm in enumerate(arms)}
    table = votes_from_rows(study_rows(arms=arms)).table
    options = {"plan": {"arm": arms[0], "baseline": arms[1], "margin": 0.05}}
    shown = titled(build_report(table, study={"arm_titles": titles}, **options))
    told = titled(build_report(table, study={"arm_titles": neutral}, **options))

    def words(report):
        text = json.dumps([report["text"], report["verdict"], [entry["verdict"] for entry in report["comparisons"]]])
        for number in range(len(arms)):
            text = text.replace(f"Model {number}", f"zz{number}")
        return text

    assert words(shown) == words(told)
    assert "for Model 0 over Model 1 was" in shown["text"]["sentences"][0]
    plain = build_report(table, **options)["text"]["methods"]
    assert shown["text"]["methods"] == plain


def test_every_criterion_is_told_under_titles():
    titles = {"ours-2": "Ours 2.0", "base-1": "Base 1.5"}
    votes = list(study_rows(arms=tuple(titles)))
    rows = [row | {"trial": f"{row['trial']}{key}", "criterion": key} for key in "xy" for row in votes]
    report = build_report(votes_from_rows(rows).table, study={"arm_titles": titles}, plan={"criterion": "x"})
    shown = titled(report)
    for name in titles:
        assert name not in json.dumps([shown["criteria"], shown["text"]["lead"], shown["verdict"]])
        assert name in json.dumps(report["criteria"])
    assert shown["text"]["lead"].count("Ours 2.0") >= 2
    validate(report, SCHEMA)


def test_a_study_without_titles_reads_as_it_is():
    report = {"study": {}, "text": "robust"}
    assert titled(report) is report
