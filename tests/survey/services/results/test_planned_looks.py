"""A plan of several looks: as many as planned before the end, each with its share of the 5 %, nothing else opened."""

from __future__ import annotations

import json
from html import unescape

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from jobs.runner import job_next, job_run
from survey.exceptions import ResultsHidden
from survey.models import ReportBuild, Study, StudyVersion
from survey.reports.facts import study_facts
from survey.reports.preregistration import preregistration_text
from survey.services.results.report_build import looks_left, report_request, report_require_readable
from survey.services.study.study import study_transition, study_update
from tests.factories import make_running, make_study, make_user, make_version, make_visit
from tests.survey.reports.test_report import prefer

pytestmark = pytest.mark.django_db


def looked_at(looks: int = 3, raters: int = 8, **fields) -> StudyVersion:
    plan = {"stopping_rule": "planned", "planned_looks": looks, "target_raters": raters, "votes_per_pair": 8}
    return make_running(**plan | {"pairs": 12, "practice_trials": 0} | fields)


def come(version: StudyVersion, raters: int) -> None:
    for _ in range(raters):
        make_visit(version, prefer("robust"))


def report(study: Study) -> tuple[ReportBuild, dict]:
    build = report_request(study=study, actor=None)
    while job := job_next(["default"]):
        done = job_run(job.pk)
        assert done.state == "succeeded", done.error
    build.refresh_from_db()
    with default_storage.open(build.files["report.json"]["name"]) as file:
        return build, json.load(file)


def test_each_look_spends_its_share_and_the_last_one_knows_of_all(tmp_path) -> None:
    version = looked_at()
    study = version.study
    come(version, 2)
    build, first = report(study)
    assert (build.is_look, build.looks_taken) == (True, [0.25])
    assert first["verdict"]["looks"] == {"basis": "group sequential", "look": 1, "planned": 3}
    come(version, 2)
    build, second = report(study)
    assert build.looks_taken == [0.25, 0.5]
    assert second["plan"]["looks"] == {"number": 3, "spending": "obrien_fleming", "taken": [0.25, 0.5]}
    come(version, 4)
    study_transition(study=study, name="close", actor=None, reason="full")
    build, last = report(study)
    assert (build.is_look, build.looks_taken) == (False, [0.25, 0.5, 1.0])
    assert last["verdict"]["looks"] == {"basis": "group sequential", "look": 3, "planned": 3}


def test_no_more_looks_than_planned_and_none_twice_at_the_same_raters() -> None:
    version = looked_at(looks=2)
    come(version, 2)
    report(version.study)
    assert looks_left(version.study).left == 0
    come(version, 1)
    with pytest.raises(ResultsHidden, match="All 1 looks before the end are taken"):
        report_request(study=version.study, actor=None)
    again = looked_at(looks=3)
    come(again, 2)
    report(again.study)
    build, _ = report(again.study)
    assert build.looks_taken == [0.25]
    assert looks_left(again.study).left == 1


def test_a_look_that_waits_for_a_worker_counts() -> None:
    version = looked_at(looks=2)
    come(version, 2)
    report_request(study=version.study, actor=None)
    assert looks_left(version.study).left == 0


def test_a_look_opens_its_report_and_nothing_else() -> None:
    owner = make_user("owner")
    version = looked_at(study=make_study(owner=owner, pairs=12, stopping_rule="planned", target_raters=8))
    come(version, 2)
    build, _ = report(version.study)
    client = Client()
    client.force_login(owner)
    base = f"/admin/survey/study/{version.study_id}"
    page = client.get(f"{base}/reports/").content.decode()
    assert "The plan allows 2 looks before the study is closed; 1 is left" in page
    assert "look 1 of 3" in page
    assert build.verdict["text"] in unescape(client.get(f"{base}/").content.decode())
    opened = client.get(f"{base}/report/{build.pk}/report.html")
    assert b"".join(opened.streaming_content).startswith(b"<!")
    assert "hidden until closed" in client.get("/admin/survey/vote/").content.decode()
    assert client.get(f"/api/v1/studies/{version.study.slug}/votes/").status_code in {401, 403}


def test_a_later_plan_of_several_looks_opens_no_earlier_votes() -> None:
    version = looked_at(stopping_rule="fixed")
    come(version, 2)
    study = version.study
    for name in ("pause", "revise"):
        study_transition(study=study, name=name, actor=None, reason="more looks")
    study_update(study=study, actor=None, stopping_rule="planned")
    make_running(Study.objects.get(pk=study.pk))
    assert looks_left(study) is None
    with pytest.raises(ResultsHidden):
        report_request(study=study, actor=None)


def test_a_report_that_was_a_look_stays_readable_and_others_do_not() -> None:
    version = looked_at()
    come(version, 2)
    build, _ = report(version.study)
    report_require_readable(build)
    with pytest.raises(ResultsHidden):
        report_require_readable(ReportBuild(study=version.study))


def test_the_looks_are_frozen_where_a_plan_has_them_alone() -> None:
    assert "looks" not in make_version().config["analysis"]
    config = make_version(stopping_rule="planned", planned_looks=5, looks_spending="pocock").config
    assert config["analysis"]["looks"] == {"number": 5, "spending": "pocock"}


def test_the_looks_are_told_to_the_preregistration_and_to_the_report() -> None:
    version = make_version(stopping_rule="planned", planned_looks=5, looks_spending="pocock")
    assert "5 looks, the last after closing" in preregistration_text(version)
    assert "Pocock's type" in preregistration_text(version)
    assert study_facts(version.study)["stopping_rule"].endswith("5 planned looks by alpha spending")
