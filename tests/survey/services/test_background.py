from __future__ import annotations

import os
import time

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from jobs.models import Job
from jobs.runner import job_run
from jobs.services import job_cancel, job_retry
from survey.models import Exclusion, Vote
from survey.services import background as long_work
from survey.services.background import exclusions_begin, import_begin, work_cancel
from survey.services.images.importing import images_import
from tests.factories import make_running, make_study, make_user, make_visit
from tests.survey.services.images.test_importing import matched, zipped

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user()


def upload():
    return zipped({f"{arm}/{path}": content for arm, files in matched().items() for path, content in files.items()})


@pytest.fixture
def long_import(owner, monkeypatch: pytest.MonkeyPatch) -> Job:
    """An import that waits for a worker."""
    monkeypatch.setattr(long_work, "INLINE_FILES", 1)
    report, job = import_begin(study=make_study(owner=owner, pairs=0), file=upload(), actor=owner)
    assert report is None
    assert default_storage.exists(job.parameters["file"])
    return job


def test_a_cancelled_waiting_import_takes_its_zip_along(long_import: Job) -> None:
    assert work_cancel(long_import).state == "cancelled"
    assert not default_storage.exists(long_import.parameters["file"])
    again = job_run(job_retry(long_import).pk)
    assert (again.state, again.attempt) == ("failed", 1)
    assert "Upload it again" in again.error


@pytest.mark.django_db(transaction=True)
def test_an_import_cancelled_at_work_takes_its_zip_along(long_import: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled_at_once(*, on_progress, **given):
        work_cancel(long_import)
        monkeypatch.setattr("jobs.lease.time.monotonic", lambda: 10.0**9)
        return images_import(on_progress=on_progress, **given)

    monkeypatch.setattr("survey.tasks.images_import", cancelled_at_once)
    assert job_run(long_import.pk).state == "cancelled"
    assert not default_storage.exists(long_import.parameters["file"])


def test_a_new_import_clears_away_old_uploads_that_no_job_waits_for(long_import: Job, owner) -> None:
    forgotten = default_storage.save("imports/forgotten.zip", ContentFile(b"x"))
    fresh = default_storage.save("imports/fresh.zip", ContentFile(b"x"))
    for name in (forgotten, long_import.parameters["file"]):
        os.utime(default_storage.path(name), (time.time() - 8 * 86_400,) * 2)
    import_begin(study=make_study(owner=owner, pairs=0), file=upload(), actor=owner)
    assert not default_storage.exists(forgotten)
    assert default_storage.exists(fresh)
    assert default_storage.exists(long_import.parameters["file"])
    job_cancel(long_import)


@pytest.fixture
def hasty(owner, monkeypatch: pytest.MonkeyPatch):
    """A version with a visit that was too fast, in a study of more votes than are screened at once."""
    monkeypatch.setattr(long_work, "INLINE_VOTES", 2)
    version = make_running(owner=owner, pairs=10, votes_per_pair=8, exclusion_rules=[{"rule": "too_fast"}])
    make_visit(version)
    session = make_visit(version)
    Vote.objects.filter(trial__session=session).update(response_ms=10)
    return session


def test_many_votes_are_screened_by_a_worker_and_shown_on_the_page(hasty, owner) -> None:
    study = hasty.version.study
    client = Client()
    client.force_login(owner)
    address = f"/admin/survey/study/{study.pk}/exclusions/"
    assert client.post(address, {"do": "preview", "rules": "plan"}).status_code == 302
    done = job_run(Job.objects.get(kind="survey.exclusions").pk)
    assert done.state == "succeeded", done.error
    assert (done.result["found"], done.result["written"]) == (1, 0)
    assert not Exclusion.objects.exists()
    page = client.get(address).content.decode()
    assert "Preview: 1 found" in page
    assert str(hasty.pk)[:8] in page
    client.post(address, {"do": "apply", "rules": "plan"})
    done = job_run(Job.objects.filter(kind="survey.exclusions", state="queued").get().pk)
    assert done.result["written"] == 1
    assert Exclusion.objects.get().session_id == hasty.pk
    assert Exclusion.objects.get().made_by == owner
    assert "1 written to the ledger" in client.get(address).content.decode()


def test_few_votes_are_screened_at_once(hasty, owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_work, "INLINE_VOTES", 1000)
    asked = {"rules": None, "is_pilot": False, "is_preview": True}
    assert exclusions_begin(study=hasty.version.study, actor=owner, **asked) is None
    client = Client()
    client.force_login(owner)
    address = f"/admin/survey/study/{hasty.version.study_id}/exclusions/"
    answer = client.post(address, {"do": "preview", "rules": "plan"}, follow=True)
    assert "Preview: 1 found" in answer.content.decode()
    assert not Job.objects.exists()
