"""The list of all jobs, for administrators."""

from __future__ import annotations

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
