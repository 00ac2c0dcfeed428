from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery, current_app
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


@pytest.fixture
def broker_away(broker_url: str) -> Iterator[Celery]:
    """Nobody listens where the broker should be."""
    ours = current_app._get_current_object()
    away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=True)
    # Kombu tries for twelve seconds otherwise.
    away.conf.broker_transport_options = {"connect_retries_timeout": 0.1}
    yield away
    ours.set_current()


def test_a_job_is_announced_to_the_broker_once_it_is_stored(kind: str, broker_url: str) -> None:
    job = job_enqueue(kind=kind)
    job.refresh_from_db()
    assert job.announced_at is not None
    assert jobs_reap() == 0


def test_a_broker_that_is_away_is_no_error_and_the_reaper_announces_later(
    kind: str, broker_away: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_enqueue(kind=kind)
    job.refresh_from_db()
    assert job.announced_at is None
    assert "the broker cannot be reached" in caplog.text
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=2))
    assert jobs_reap() == 1


def test_only_what_failed_or_was_cancelled_is_tried_again(kind: str) -> None:
    job = job_enqueue(kind=kind)
    Job.objects.filter(pk=job.pk).update(state="succeeded", attempt=1)
    assert (job_retry(job).state, job.attempt) == ("succeeded", 1)
