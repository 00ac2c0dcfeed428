from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import registry
from jobs.lease import Lease, job_claim
from jobs.models import Job
from jobs.runner import job_run
from jobs.services import job_cancel, job_enqueue, job_retry, jobs_reap

pytestmark = pytest.mark.django_db(transaction=True)


def expire(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_cancel_stops_a_queued_job_at_once_and_a_running_one_at_its_next_look(kind: str) -> None:
    assert job_cancel(job_enqueue(kind=kind)).state == "cancelled"

    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        job_cancel(lease.job)
        lease.progress(1, 2, force=True)
        raise AssertionError("a cancelled job went on")

    job = job_run(job_enqueue(kind=kind).pk)
    assert job.state == "cancelled"
    assert job_retry(job).state == "queued"


def test_the_same_work_is_queued_once(kind: str) -> None:
    first = job_enqueue(kind=kind, dedupe_key="study-1/shard-1")
    assert job_enqueue(kind=kind, dedupe_key="study-1/shard-1").pk == first.pk
    assert job_enqueue(kind=kind, dedupe_key="study-1/shard-2").pk != first.pk


def test_reaper_announces_what_no_live_worker_holds(kind: str) -> None:
    held, lost, forgotten = (job_enqueue(kind=kind) for _ in range(3))
    job_claim(held.pk)
    job_claim(lost.pk)
    expire(lost)
    Job.objects.filter(pk=forgotten.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert jobs_reap() == 2
    assert job_claim(uuid.uuid4()) is None


def test_a_retry_by_hand_does_not_wait(kind: str) -> None:
    job = job_enqueue(kind=kind, max_attempts=7)
    Job.objects.filter(pk=job.pk).update(state="failed", not_before=timezone.now() + timedelta(hours=1))
    assert job_retry(job).max_attempts == 7
    assert job_claim(job.pk) is not None
