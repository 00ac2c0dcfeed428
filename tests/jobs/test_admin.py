"""The list of all jobs, for administrators."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from jobs.models import Job
from jobs.runner import job_run
from jobs.services import job_enqueue
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def client_with(*permissions: str) -> Client:
    user = make_user()
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_who_may_look_at_jobs_may_not_stop_them() -> None:
    job = job_enqueue(kind="jobs.nobody_does_this")
    stop = {"action": "cancel", "_selected_action": [str(job.pk)], "one": "1"}
    address = f"/admin/jobs/job/{job.pk}/change/"
    watcher, keeper = client_with("view_job"), client_with("view_job", "change_job")
    assert 'name="action"' not in watcher.get(address).content.decode()
    watcher.post("/admin/jobs/job/", stop)
    assert Job.objects.get().state == "queued"
    page = keeper.get(address)
    assert 'value="cancel"' in page.content.decode()
    assert page["Refresh"] == "10"
    assert keeper.post("/admin/jobs/job/", stop).url == address
    assert Job.objects.get().state == "cancelled"
    assert 'value="retry"' in keeper.get(address).content.decode()
    assert client_with().get(address).status_code == 403


def test_a_failed_job_shows_why_and_is_tried_again() -> None:
    job = job_enqueue(kind="jobs.nobody_does_this")
    job_run(job.pk)
    keeper = client_with("view_job", "change_job")
    page = keeper.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert "Fix what the message names, then try again." in page
    assert "Where it stopped" in page
    keeper.post("/admin/jobs/job/", {"action": "retry", "_selected_action": [str(job.pk)]})
    job.refresh_from_db()
    assert (job.state, job.attempt, job.error) == ("queued", 0, "")


def test_jobs_are_called_by_what_they_do_and_a_kind_without_a_name_by_its_key() -> None:
    kinds = {
        "survey.report": "Build a report",
        "generation.make_shard": "Make image pairs",
        "training.train": "Train a network",
        "jobs.nobody_does_this": "jobs.nobody_does_this",
    }
    jobs = {kind: job_enqueue(kind=kind) for kind in kinds}
    watcher = client_with("view_job")
    page = watcher.get("/admin/jobs/job/").content.decode()
    assert sorted(re.findall(r"field-what[^>]*>(?:<a[^>]*>)?([^<]*)<", page)) == sorted(kinds.values())
    assert "survey.report<" not in page
    for kind, caption in kinds.items():
        assert caption in watcher.get(f"/admin/jobs/job/{jobs[kind].pk}/change/").content.decode()
    chosen = watcher.get("/admin/jobs/job/", {"kind": "survey.report"}).content.decode()
    assert re.findall(r"field-what[^>]*>(?:<a[^>]*>)?([^<]*)<", chosen) == ["Build a report"]
