"""A release by one click: asked for with a licence, written by a worker, downloaded as a zip."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.core.files.storage import default_storage

from jobs.models import Job
from jobs.runner import job_run
from survey.models import RaterSession, StudyMember
from survey.services.results.release_build import release_current
from survey.services.study.study import study_transition
from tests.factories import make_running, make_user, make_visit
from tests.survey.admin.test_study_pages import client_of

pytestmark = pytest.mark.django_db
ASKED = {"license": "CC-BY-4.0", "least_cell": 2, "arm_0": "ours"}


@pytest.fixture
def owner():
    return make_user("owner")


@pytest.fixture
def version(owner):
    version = make_running(owner=owner, pairs=6, votes_per_pair=6, is_publication_consented=True)
    for _ in range(3):
        make_visit(version)
    study_transition(study=version.study, name="close", actor=owner, reason="enough")
    return version


def address(version, more=""):
    return f"/admin/survey/study/{version.study.pk}/release/{more}"


def written(version, owner) -> Job:
    assert client_of(owner).post(address(version), ASKED).status_code == 302
    job = Job.objects.get(kind="survey.release", state="queued")
    job_run(job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded", job.error
    return job


def test_a_release_is_written_by_a_worker_and_downloaded(version, owner):
    job = written(version, owner)
    page = client_of(owner).get(address(version)).content.decode()
    assert "Download the release" in page
    assert "3 rater sessions" in page
    response = client_of(owner).get(address(version, f"{job.pk}.zip"))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    names = set(archive.namelist())
    slug = version.study.slug
    assert {f"{slug}/{name}" for name in ("README.md", "croissant.json", "votes.parquet", "SHA256SUMS")} <= names
    votes = archive.read(f"{slug}/votes.csv").decode()
    assert "ours" in votes
    assert "robust" not in votes


def test_a_new_release_replaces_the_earlier_one(version, owner):
    first, second = written(version, owner), written(version, owner)
    assert not default_storage.exists(first.result["file"])
    assert release_current(version.study) == second
    assert client_of(owner).get(address(version, f"{first.pk}.zip")).status_code == 404


def test_a_release_with_somebody_who_withdrew_since_is_given_out_no_more(version, owner):
    job = written(version, owner)
    visit = RaterSession.objects.order_by("pk").first()
    RaterSession.objects.filter(pk=visit.pk).update(state=RaterSession.State.WITHDRAWN)
    assert client_of(owner).get(address(version, f"{job.pk}.zip")).status_code == 404
    assert "Download the release" not in client_of(owner).get(address(version)).content.decode()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({**ASKED, "license": ""}, "This field is required"),
        ({**ASKED, "license": "mine"}, "is none of CC-BY-4.0"),
        ({**ASKED, "arm_0": "vanilla"}, "two arms would have the same published name"),
        ({**ASKED, "least_cell": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_options_are_named_and_nothing_is_queued(version, owner, asked, told):
    page = client_of(owner).post(address(version), asked).content.decode()
    assert told in page
    assert not Job.objects.filter(kind="survey.release").exists()


def test_a_study_without_consent_to_publish_says_so(owner):
    version = make_running(owner=owner, pairs=6)
    make_visit(version)
    study_transition(study=version.study, name="close", actor=owner, reason="enough")
    page = client_of(owner).get(address(version)).content.decode()
    assert "does not say that answers will be published" in page
    client_of(owner).post(address(version), ASKED)
    assert not Job.objects.filter(kind="survey.release").exists()


def test_a_running_study_and_people_without_the_role_are_refused(owner, version):
    running = make_running(owner=owner, slug="running", is_publication_consented=True)
    make_visit(running)
    assert "hidden until the study is closed" in client_of(owner).get(address(running)).content.decode()
    viewer = make_user("viewer")
    StudyMember.objects.create(study=version.study, user=viewer, role=StudyMember.Role.VIEWER)
    assert client_of(viewer).post(address(version), ASKED).status_code == 403
    assert client_of(make_user("stranger")).get(address(version)).status_code == 404
