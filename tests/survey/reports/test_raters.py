"""The raters' table: one row a session, what was answered at the end, and nobody's identity."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from django.core.management import call_command

from survey.models import RaterSession, Study, StudyVersion, Vote
from survey.reports.raters import rater_columns, raters_export
from survey.services.study.study import study_transition, study_update
from survey.services.visit.session import session_withdraw
from tests.factories import make_running, make_visit
from tests.survey.reports.test_report import prefer

pytestmark = pytest.mark.django_db
QUESTIONS = [{"name": "age", "caption": "How old are you?", "options": ["under 30", "30 or more"]}]


@pytest.fixture
def version() -> StudyVersion:
    return make_running(
        practice_trials=0, votes_per_pair=6, degraded_trials=2, exit_questions=QUESTIONS, stopping_rule="anytime"
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "raters.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def exported(version: StudyVersion, folder: Path, **options) -> list[dict[str, str]]:
    raters_export(version.study, folder, **options)
    return table(folder)


def test_a_session_has_its_device_its_votes_and_its_answers(version, tmp_path):
    visit = make_visit(version)
    RaterSession.objects.filter(pk=visit.pk).update(answers={"age": "under 30"}, language="de")
    Vote.objects.filter(trial__session=visit).update(presentation={"layout": "row", "input": "key"})
    (row,) = exported(version, tmp_path)
    assert (row["session"], row["phase"], row["language"], row["site"]) == (str(visit.pk), "main", "de", "open")
    assert (row["viewport_width_px"], row["viewport_height_px"], row["pixel_ratio"]) == ("1280", "800", "1")
    assert (row["layout"], row["input"], row["answer_age"]) == ("row", "key", "under 30")
    assert int(row["votes"]) == visit.trials.filter(check_kind="").count()
    assert float(row["minutes"]) >= 0


def test_checks_are_counted_by_whether_the_intact_image_was_chosen(version, tmp_path):
    careful = make_visit(version, lambda trial: {"left": "right", "right": "left"}.get(trial.degraded_side, "left"))
    careless = make_visit(version, lambda trial: trial.degraded_side or "left")
    found = {row["session"]: (row["checks_passed"], row["checks_failed"]) for row in exported(version, tmp_path)}
    assert found == {str(careful.pk): ("2", "0"), str(careless.pk): ("0", "2")}


def test_a_withdrawn_session_says_so(version, tmp_path):
    visit = make_visit(version)
    session_withdraw(session_id=visit.pk)
    (row,) = exported(version, tmp_path)
    assert (row["excluded"], row["exclusion_reason"]) == ("true", "withdrawn: at the rater's own wish")


def test_a_rehearsal_counts_only_where_no_person_has_voted(version, tmp_path):
    make_visit(version, is_simulated=True)
    assert [row["phase"] for row in exported(version, tmp_path)] == ["rehearsal"]
    person = make_visit(version)
    assert [row["session"] for row in exported(version, tmp_path)] == [str(person.pk)]


def test_simulated_votes_never_reach_a_file_beside_real_ones(version, tmp_path):
    rehearsed = make_visit(version, prefer("vanilla"), is_simulated=True)
    make_visit(version, prefer("robust"))
    call_command("export_votes", study=version.study.slug, out=tmp_path, format="csv,jsonl,parquet")
    assert not any(str(rehearsed.pk).encode() in path.read_bytes() for path in tmp_path.iterdir())
    with (tmp_path / "votes.csv").open(newline="") as file:
        assert {row["simulated"] for row in csv.DictReader(file)} == {"false"}


def test_the_data_package_describes_every_table(version, tmp_path):
    make_visit(version)
    call_command("export_votes", study=version.study.slug, out=tmp_path, format="csv,parquet")
    package = json.loads((tmp_path / "datapackage.json").read_text())
    assert [resource["path"] for resource in package["resources"]] == [
        "votes.csv",
        "votes.parquet",
        "raters.csv",
        "raters.parquet",
        "pairs.csv",
        "pairs.parquet",
    ]
    fields = {field["name"] for field in package["resources"][2]["schema"]["fields"]}
    assert set(table(tmp_path)[0]) == fields


def test_the_cost_does_not_grow_with_raters(version, tmp_path, django_assert_max_num_queries):
    for _ in range(4):
        make_visit(version)
    with django_assert_max_num_queries(6):
        raters_export(version.study, tmp_path)


def test_answers_of_every_kind_have_a_column_of_their_type(tmp_path):
    questions = [
        {"name": "age", "caption": "Age?", "kind": "number"},
        {"name": "screen", "caption": "Screens?", "kind": "multiple", "options": ["laptop", "phone"]},
        {"name": "remark", "caption": "Remark?", "kind": "text", "length": 50},
    ]
    version = make_running(practice_trials=0, exit_questions=questions)
    visit = make_visit(version)
    given = {"age": 34.5, "screen": ["laptop", "phone"], "remark": "fine, thanks"}
    RaterSession.objects.filter(pk=visit.pk).update(answers=given)
    raters_export(version.study, tmp_path, formats=("csv", "parquet"))
    (row,) = table(tmp_path)
    assert (row["answer_age"], row["answer_screen"], row["answer_remark"]) == (
        "34.5",
        "laptop | phone",
        "fine, thanks",
    )
    assert {column.name: column.kind for column in rater_columns(version.study)}["answer_age"] == "number"


def test_a_question_asked_in_two_kinds_has_no_type_of_its_own(tmp_path):
    version = make_running(practice_trials=0, exit_questions=[{"name": "age", "caption": "Age?"}])
    visit = make_visit(version)
    RaterSession.objects.filter(pk=visit.pk).update(answers={"age": "about forty"})
    study_transition(study=version.study, name="pause", actor=None)
    study_transition(study=version.study, name="revise", actor=None)
    question = {"name": "age", "caption": "Your age?", "kind": "number"}
    study_update(study=version.study, actor=None, exit_questions=[question])
    make_running(Study.objects.get(pk=version.study_id))
    raters_export(version.study, tmp_path, formats=("csv", "parquet"))
    assert [row["answer_age"] for row in table(tmp_path)] == ["about forty"]
