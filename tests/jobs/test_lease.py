from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from jobs import registry
from jobs.exceptions import JobError, LeaseLost
from jobs.lease import Lease, job_claim
from jobs.log_context import log_context
from jobs.models import Job
from jobs.runner import job_next, job_run
from jobs.services import job_enqueue, jobs_reap

pytestmark = pytest.mark.django_db(transaction=True)


def expire(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_whatever_a_job_logs_names_it_also_from_the_thread_that_keeps_it_alive(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(Lease, "_renew", lambda lease: seen.append(log_context.get()))

    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        seen.append(log_context.get())

    job = job_run(job_enqueue(kind=kind).pk)
    assert seen == [f"job-{job.pk}"] * 2
    assert log_context.get() == ""


def test_job_claim_has_one_winner_among_many(kind: str) -> None:
    job = job_enqueue(kind=kind)
    winners, start = [], threading.Barrier(6)

    def claim() -> None:
        start.wait()
        if lease := job_claim(job.pk):
            winners.append(lease)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1


def test_a_worker_that_lost_its_lease_cannot_write(kind: str) -> None:
    job = job_enqueue(kind=kind)
    slow = job_claim(job.pk)
    expire(job)
    fast = job_claim(job.pk)
    with pytest.raises(LeaseLost), slow.fenced():
        Job.objects.filter(pk=job.pk).update(progress_note="written too late")
    with fast.fenced():
        pass
    job.refresh_from_db()
    assert job.progress_note == ""
    assert not slow.finish("succeeded")
    assert fast.finish("succeeded")


def test_a_job_that_kills_its_worker_stops_after_the_last_attempt(kind: str) -> None:
    job = job_enqueue(kind=kind)
    for _ in range(job.max_attempts):
        assert job_claim(job.pk) is not None
        expire(job)
    assert job_claim(job.pk) is None
    job.refresh_from_db()
    assert job.state == "failed"
    assert "died on every attempt" in job.error


def test_a_job_put_off_is_taken_by_nobody_before_its_time(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise JobError("the receiver is away", wait_seconds=600)

    job = job_run(job_enqueue(kind=kind).pk)
    assert (job.state, job.attempt) == ("queued", 1)
    assert 590 < (job.not_before - timezone.now()).total_seconds() <= 600
    Job.objects.filter(pk=job.pk).update(announced_at=timezone.now() - timedelta(hours=2))
    assert job_claim(job.pk) is None
    assert job_next(["default"]) is None
    assert jobs_reap() == 0
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    assert jobs_reap() == 1
    assert job_next(["default"]) == job
    assert job_claim(job.pk) is not None


def test_a_job_whose_lease_is_lost_meanwhile_stops_and_writes_nothing(kind: str, settings) -> None:
    settings.JOB_LEASE_SECONDS = 0.2

    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        # Another worker thought this one dead, as after a long pause of the machine.
        Job.objects.filter(pk=lease.job.pk).update(lease_token=uuid.uuid4(), lease_owner="another")
        end = time.monotonic() + 20
        while not lease.should_stop():
            assert time.monotonic() < end, "the heartbeat did not see that the lease was lost"
            time.sleep(0.02)
        lease.progress(1, 2, force=True)

    job = job_run(job_enqueue(kind=kind).pk)
    assert (job.state, job.lease_owner, job.progress_note, job.error) == ("running", "another", "", "")


def test_a_database_that_is_away_for_a_beat_does_not_end_the_work(
    kind: str, settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.JOB_LEASE_SECONDS = 0.2
    beats, beat = [], Lease._beat

    def failing_first(lease: Lease, **fields: object) -> None:
        beats.append(1)
        if len(beats) == 1:
            raise OperationalError("the server closed the connection")
        beat(lease, **fields)

    monkeypatch.setattr(Lease, "_beat", failing_first)

    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        end = time.monotonic() + 20
        while len(beats) < 3:
            assert time.monotonic() < end, "there was no further beat"
            time.sleep(0.02)

    assert job_run(job_enqueue(kind=kind).pk).state == "succeeded"
    assert "heartbeat failed" in caplog.text


def test_the_time_left_follows_the_pace_of_the_part_that_runs(kind: str) -> None:
    """What an earlier attempt had done, and a part that is over, took no time of this one."""
    registry.handles(kind)(lambda lease: None)
    lease = job_claim(job_enqueue(kind=kind).pk)
    job = lease.job

    def told(done: int, total: int, *, after: float) -> Job:
        lease.progress(done, total, force=True)
        # As if the work had taken so long since this part of it began.
        now = timezone.now()
        Job.objects.filter(pk=job.pk).update(progress_at=now, progress_began_at=now - timedelta(seconds=after))
        return Job.objects.get(pk=job.pk)

    assert (told(900, 1000, after=0).seconds_left, told(900, 1000, after=0).time_left) == (None, "")
    assert told(950, 1000, after=100).seconds_left == pytest.approx(100, abs=2)
    assert Job.objects.get(pk=job.pk).time_left == "about 2 min left"
    assert told(1, 3, after=600).seconds_left is None
    assert told(2, 3, after=20).time_left == "less than a minute left"
    Job.objects.filter(pk=job.pk).update(state="succeeded")
    assert Job.objects.get(pk=job.pk).time_left == ""
