"""The list of all jobs, for administrators."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from jobs.models import Job
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
