"""Whose jobs are whose: a study keeps its own, whatever becomes of its slug."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps

from jobs.models import Job
from jobs.runner import job_run
from jobs.services import job_enqueue
from survey.exceptions import StudyNotDeletable
from survey.models import Study
from survey.selectors.jobs import study_jobs, study_of_job, study_subject
from survey.services import background as long_work
from survey.services.background import transition_begin
from survey.services.study.study import study_delete, study_update
from tests.factories import make_study, make_user
from tests.survey.admin.test_study_pages import client_of
from tests.survey.api.test_researcher_api import Caller, problem

pytestmark = pytest.mark.django_db


def _taker() -> Study:
    """Return the study that has the slug now."""
    return Study.objects.get(slug="cats")


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> Job:
    """The freezing of a large study, which has got another slug since, while a stranger took the old one."""
    monkeypatch.setattr(long_work, "INLINE_FILES", 1)
    owner = make_user("owner")
    study = make_study(owner=owner, slug="cats", practice_trials=0)
    job = transition_begin(study=study, name="freeze", actor=owner)
    study_update(study=study, actor=owner, slug="lions")
    make_study(owner=make_user("stranger"), slug="cats")
    return job


def test_a_slug_that_passes_on_takes_no_jobs_along(queued: Job) -> None:
    owner, stranger = (Caller(study.members.get().user) for study in (study_of_job(queued), _taker()))
    assert [job["id"] for job in owner("get", "studies/lions/jobs/").json()["results"]] == [str(queued.pk)]
    assert stranger("get", "studies/cats/jobs/").json()["results"] == []
    problem(stranger("post", f"studies/cats/jobs/{queued.pk}/cancel/"), 404, "not_found")
    client = client_of(_taker().members.get().user)
    assert client.post(f"/admin/survey/study/{_taker().pk}/job/{queued.pk}/cancel/").status_code == 404


def test_a_job_works_on_the_study_that_it_was_made_for(queued: Job) -> None:
    assert job_run(queued.pk).state == "succeeded"
    assert study_of_job(queued).slug == "lions"
    assert (study_of_job(queued).state, _taker().state) == ("frozen", "draft")


def test_parts_are_not_listed_but_keep_the_study(queued: Job) -> None:
    study = _taker()
    part = job_enqueue(kind="generation.make_shard", subject=f"{study_subject(study)}order/1/")
    # The key of the other begins alike where it has more digits.
    job_enqueue(kind="generation.make_shard", subject=f"study/{study.pk}0/")
    assert list(study_jobs(study)) == []
    with pytest.raises(StudyNotDeletable, match="make_shard"):
        study_delete(study=study, actor=None)
    Job.objects.filter(pk=part.pk).update(state="cancelled")
    study_delete(study=study, actor=None)


def test_jobs_of_the_version_before_are_given_to_the_study_that_has_the_slug_since() -> None:
    study = make_study(slug="cats")
    before, own = (Job.objects.create(kind="survey.freeze", parameters={"study": "cats"}, max_attempts=1) for _ in "ab")
    Job.objects.filter(pk=before.pk).update(created_at="2020-01-01T00:00Z")
    assert study_of_job(own) == study
    import_module("survey.migrations.0005_jobs_name_their_study").name_study(apps, None)
    assert list(study_jobs(study)) == [own]
