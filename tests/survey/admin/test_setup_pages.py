"""A new study in four steps: each saved by itself, and a title and two folders are enough."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from survey.models import Study, StudyMember
from survey.services.access.member import member_set
from survey.services.study.version import version_problems
from tests.factories import make_png, make_running, make_study, make_user
from tests.sent_forms import sent_by

pytestmark = pytest.mark.django_db
ADD = "/admin/survey/study/add/"


@pytest.fixture
def owner():
    return make_user("owner")


@pytest.fixture
def client(owner) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def folders(*paths: str) -> SimpleUploadedFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number, path in enumerate(paths):
            file.writestr(path, make_png(number, size=160))
    return SimpleUploadedFile("images.zip", buffer.getvalue(), "application/zip")


TWO_FOLDERS = [f"{arm}/{number}.png" for arm in ("ours", "theirs") for number in range(4)]


def begun(client: Client, **given) -> Study:
    form = sent_by(client.get(ADD).content.decode(), "title")
    client.post(ADD, form | given)
    return Study.objects.get(title=given["title"])


def test_a_title_and_two_folders_make_a_study_that_can_be_frozen(client, owner) -> None:
    study = begun(client, title="Faces of 2027", zip=folders(*TWO_FOLDERS))
    assert (study.slug, study.arms.count(), study.pairs.count()) == ("faces-of-2027", 2, 4)
    assert StudyMember.objects.get(study=study).user == owner
    assert version_problems(study) == []
    assert client.post(f"/admin/survey/study/{study.pk}/step/freeze/").status_code == 302
    study.refresh_from_db()
    assert study.state == "frozen"


def test_two_studies_of_one_title_have_addresses_of_their_own(client) -> None:
    form = sent_by(client.get(ADD).content.decode(), "title")
    for _ in range(3):
        client.post(ADD, form | {"title": "Faces"})
    client.post(ADD, form | {"title": "人脸"})
    assert set(Study.objects.values_list("slug", flat=True)) == {"faces", "faces-2", "faces-3", "study"}


def test_a_title_is_all_that_the_first_step_demands(client) -> None:
    page = client.post(ADD, sent_by(client.get(ADD).content.decode(), "title")).content.decode()
    assert "This field is required" in page
    assert not Study.objects.exists()


def test_a_zip_that_does_not_fit_leaves_the_draft_and_says_what_to_mend(client) -> None:
    form = sent_by(client.get(ADD).content.decode(), "title")
    answer = client.post(ADD, form | {"title": "Faces", "zip": folders("ours/1.png", "theirs/2.png")}, follow=True)
    page = answer.content.decode()
    study = Study.objects.get()
    assert answer.redirect_chain[-1][0] == f"/admin/survey/study/{study.pk}/setup/compare/"
    assert "its images were not imported" in page
    assert re.search(r"vanilla/cat/0001\.png<br>\s*vanilla/dog/0001\.png<br>", page), "a line for each path"
    assert "ours/1.png" in page or "1.png" in page
    assert study.pairs.count() == 0


def test_each_step_is_saved_by_itself_and_leads_to_the_next(client) -> None:
    study = begun(client, title="Faces")
    base = f"/admin/survey/study/{study.pk}"
    for step, field, value, after in (
        ("compare", "title", "Faces again", f"{base}/setup/read/"),
        ("read", "contact", "lab@example.org", f"{base}/setup/plan/"),
        ("plan", "votes_per_pair", "12", f"{base}/setup/people/"),
        ("people", "payment", "3 euros", f"{base}/preview/"),
    ):
        address = f"{base}/setup/{step}/"
        form = sent_by(client.get(address).content.decode(), field)
        assert client.post(address, form | {field: value})["Location"] == after
        study.refresh_from_db()
        assert str(getattr(study, field)) == value
    updates = study.audit_entries.filter(action="update").values_list("detail", flat=True)
    assert [entry["fields"] for entry in updates] == [["title"], ["contact"], ["votes_per_pair"], ["payment"]]


def test_rows_are_checked_where_they_are_typed_and_kept_in_their_order(client) -> None:
    study = begun(client, title="Faces")
    address = f"/admin/survey/study/{study.pk}/setup/read/"
    form = sent_by(client.get(address).content.decode(), "question") | {"exit_questions-TOTAL_FORMS": "3"}
    rows = [
        {"caption": "Any remark?", "name": "remark", "kind": "text", "length": "80", "ORDER": "2"},
        {"caption": "Age?", "name": "my age", "kind": "number", "minimum": "18", "ORDER": "1"},
        {"caption": "Old?", "name": "old", "kind": "single", "options": "yes\r\nno", "DELETE": "on"},
    ]
    form |= {f"exit_questions-{n}-{name}": value for n, row in enumerate(rows) for name, value in row.items()}
    page = client.post(address, form)
    assert page.status_code == 200
    assert page.content.decode().count("it needs a name of at most 60") == 1
    study.refresh_from_db()
    assert study.exit_questions == []
    assert client.post(address, form | {"exit_questions-1-name": "age"}).status_code == 302
    study.refresh_from_db()
    assert study.exit_questions == [
        {"name": "age", "caption": "Age?", "kind": "number", "minimum": 18},
        {"name": "remark", "caption": "Any remark?", "kind": "text", "length": 80},
    ]


def test_two_rows_of_one_name_and_an_empty_row_are_marked(client) -> None:
    study = begun(client, title="Faces")
    address = f"/admin/survey/study/{study.pk}/setup/read/"
    form = sent_by(client.get(address).content.decode(), "question") | {"exit_questions-TOTAL_FORMS": "3"}
    for number in range(2):
        row = {"caption": "Age?", "name": "age", "kind": "text"}
        form |= {f"exit_questions-{number}-{name}": value for name, value in row.items()}
    page = client.post(address, form).content.decode()
    assert "Another question has this name already." in page
    assert page.count("This field is required") == 3  # of the third row: question, answer and name


def test_exclusion_rules_are_ticked_and_their_limits_checked(client) -> None:
    study = begun(client, title="Faces")
    address = f"/admin/survey/study/{study.pk}/setup/plan/"
    form = sent_by(client.get(address).content.decode(), "votes_per_pair")
    ticked = {"exclusion_rules-too_fast": "on", "exclusion_rules-tie_share": "on"}
    page = client.post(address, form | ticked | {"exclusion_rules-tie_share-share": "5"}).content.decode()
    assert "share is 5; it must lie between 0 and 1" in page
    client.post(address, form | ticked | {"exclusion_rules-tie_share-share": "0.8"})
    study.refresh_from_db()
    assert study.exclusion_rules == [{"rule": "too_fast"}, {"rule": "tie_share", "parameters": {"share": 0.8}}]


def test_only_those_who_may_change_a_draft_get_its_steps(client, owner) -> None:
    study = make_study(owner=owner)
    viewer = make_user("viewer")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    other = Client()
    other.force_login(viewer)
    address = f"/admin/survey/study/{study.pk}/setup/read/"
    assert other.get(address).status_code == 403
    assert other.post(address, {}).status_code == 403
    assert client.get(address.replace("read", "nothing")).status_code == 404
    running = make_running(owner=owner).study
    answer = client.get(f"/admin/survey/study/{running.pk}/setup/read/", follow=True)
    assert "only a draft can be changed" in answer.content.decode()


def test_criteria_are_rows_and_one_without_a_question_is_marked(client) -> None:
    study = begun(client, title="Faces")
    address = f"/admin/survey/study/{study.pk}/setup/read/"
    form = sent_by(client.get(address).content.decode(), "question") | {"criteria-TOTAL_FORMS": "2"}
    rows = [{"key": "detail", "question": "Which has better detail?", "is_tie_allowed": "on"}, {"key": "colour"}]
    form |= {f"criteria-{n}-{name}": value for n, row in enumerate(rows) for name, value in row.items()}
    assert client.post(address, form).content.decode().count("This field is required") == 1
    client.post(address, form | {"criteria-1-question": "Which has better colours?"})
    study.refresh_from_db()
    assert study.criteria == [
        {"key": "detail", "question": "Which has better detail?"},
        {"key": "colour", "question": "Which has better colours?", "is_tie_allowed": False},
    ]


def test_translations_are_rows_of_the_texts_that_the_study_has(client, owner) -> None:
    age = {"name": "age", "caption": "How old?", "kind": "single", "options": ["young", "old"]}
    detail = {"key": "detail", "question": "Which has better detail?"}
    study = make_study(owner=owner, language="en", exit_questions=[age], criteria=[detail])
    address = f"/admin/survey/study/{study.pk}/setup/read/"
    form = sent_by(client.get(address).content.decode(), "question") | {"translations-TOTAL_FORMS": "1"}
    row = {
        "language": "de",
        "consent_text": "Ich nehme teil.",
        "criteria__detail__question": "Welches zeigt mehr Einzelheiten?",
        "exit_questions__age__caption": "Wie alt?",
        "exit_questions__age__options": "jung\r\nalt",
    }
    assert client.post(address, form | {f"translations-0-{n}": text for n, text in row.items()}).status_code == 302
    study.refresh_from_db()
    assert study.translations == {
        "de": {
            "consent_text": "Ich nehme teil.",
            "criteria": {"detail": {"question": "Welches zeigt mehr Einzelheiten?"}},
            "exit_questions": {"age": {"caption": "Wie alt?", "options": ["jung", "alt"]}},
        }
    }
    before = study.audit_entries.count()
    client.post(address, sent_by(client.get(address).content.decode(), "question"))
    assert study.audit_entries.count() == before
