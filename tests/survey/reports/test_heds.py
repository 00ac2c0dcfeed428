"""The prefilled datasheet uploads into the real form: its ids, numbers and options are those that the form has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from survey.reports.heds import heds_form
from survey.services.study.study import study_transition
from tests.factories import make_running, make_version
from tests.survey.reports.test_facts import TOLD

pytestmark = pytest.mark.django_db
FORM = json.loads((Path(__file__).parents[2] / "data" / "heds_3_0.json").read_text())["fields"]
CRITERIA = [
    {"key": "detail", "question": "Which image has better detail?", "definition": "Fine structures."},
    {"key": "realism", "question": "Which image of a {class_name} looks more real?", "is_tie_allowed": False},
]


def answers(form):
    return {entry["number"]: entry["data"] for entry in form.values() if entry.get("number")}


@pytest.mark.parametrize("fields", [{}, TOLD, {**TOLD, "criteria": CRITERIA}], ids=["plain", "told", "criteria"])
def test_every_entry_is_one_of_the_forms_own(fields):
    form = heds_form(make_version(**fields))
    assert len(form) > 20
    for name, entry in form.items():
        field = FORM[name]
        assert entry.get("number") == field.get("number") or name.endswith("-criterion"), name
        if field["kind"] == "text":
            assert all(isinstance(value, str) and value for value in entry["data"].values())
        else:
            assert set(entry["data"].values()) == {True}
            assert set(entry["text"].values()) == {field["value"]}


def test_what_the_study_says_is_answered_and_the_rest_is_left_to_people():
    question = "Which image looks more like a realistic {class_name}?"
    found = answers(heds_form(make_version(**TOLD, question=question)))
    assert found["3.1.1"] == {"": "6"}
    assert found["3.2.1"] == {"": "30"}
    assert found["3.2.5"] == {"": "Adults with normal vision."}
    assert found["5.1"] == {"": "Board of the faculty, 2026-17"}
    assert "median response time under 500 ms" in found["3.3.3.2"][""]
    assert "[class of the pair]" in found["4.3.7"]["overall preference"]
    for number in ("1.3.1.1", "3.2.2.3", "4.1.1", "4.3.11.2", "5.2"):
        assert number not in found


def test_each_criterion_has_answers_of_its_own():
    form = heds_form(make_version(criteria=CRITERIA))
    assert form["heds-criteria-criterion"]["control"] == {"detail": True, "realism": False}
    found = answers(form)
    assert found["4.3.2"] == {"detail": "Fine structures.", "realism": "N/A"}
    assert found["4.3.3"] == {"detail": "3", "realism": "2"}


def test_the_command_prints_what_the_form_uploads(capsys):
    version = make_running(**TOLD)
    study_transition(study=version.study, name="close", actor=None, reason="enough")
    call_command("export_preregistration", study=version.study.slug, form="heds")
    assert json.loads(capsys.readouterr().out) == heds_form(version)
