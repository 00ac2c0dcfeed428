from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery, current_app
from django.conf import settings as current_settings
from django.utils import timezone

from jobs import registry
from jobs.lease import Lease, job_claim
from jobs.models import Job
from jobs.runner import job_run
from jobs.services import _away_until, job_cancel, job_enqueue, job_retry, jobs_reap

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
    yield away
    ours.set_current()
    _away_until.clear()


@pytest.fixture(params=["redis", "amqp"])
def silent_broker(request: pytest.FixtureRequest, broker_url: str) -> Iterator[None]:
    """Somebody listens where the broker should be, and says nothing."""
    ours = current_app._get_current_object()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"{request.param}://127.0.0.1:{listener.getsockname()[1]}/"
        Celery("silent", broker=address, set_as_current=True)
        yield
    ours.set_current()
    _away_until.clear()


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
    assert jobs_reap() == 0
    _away_until.clear()
    broker_away.conf.broker_url = current_settings.CELERY_BROKER_URL
    assert jobs_reap() == 1
    job.refresh_from_db()
    assert job.announced_at is not None


def test_a_broker_that_is_away_delays_nobody(kind: str, broker_away: Celery) -> None:
    began = time.monotonic()
    job = job_enqueue(kind=kind)
    assert time.monotonic() - began < 2
    assert Job.objects.get(pk=job.pk).state == "queued"


def test_many_jobs_for_a_silent_broker_are_kept_within_seconds(kind: str, silent_broker: None) -> None:
    began = time.monotonic()
    jobs = [job_enqueue(kind=kind) for _ in range(20)]
    assert time.monotonic() - began < 5
    assert Job.objects.filter(pk__in=[job.pk for job in jobs], state="queued").count() == 20


def test_only_what_failed_or_was_cancelled_is_tried_again(kind: str) -> None:
    job = job_enqueue(kind=kind)
    Job.objects.filter(pk=job.pk).update(state="succeeded", attempt=1)
    assert (job_retry(job).state, job.attempt) == ("succeeded", 1)
