import csv
import io
import json

import pytest

from analysis.report import build_report, write_report
from analysis.report.parts.titles import titled
from analysis.votes.reading import votes_from_rows
from tests.analysis.vote_rows import study_rows

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


def test_a_name_is_replaced_as_a_whole_word_and_never_in_facts():
    report = {
        "study": {"arm_titles": {"a": "Model A"}, "slug": "a"},
        "text": "a-b is not a; (a), a. data a",
        "kind": "a",
        "image_metrics": {"a": {"fid": 1.0}},
    }
    assert titled(report) == {
        **report,
        "text": "a-b is not Model A; (Model A), Model A. data Model A",
        "image_metrics": {"Model A": {"fid": 1.0}},
    }


def test_a_study_without_titles_reads_as_it_is():
    report = {"study": {}, "text": "robust"}
    assert titled(report) is report
