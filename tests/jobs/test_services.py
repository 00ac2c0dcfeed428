from __future__ import annotations

import errno
import threading
import uuid
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from jobs import registry
from jobs.exceptions import JobError, LeaseLost, PermanentJobError
from jobs.lease import Lease, job_claim
from jobs.log_context import log_context
from jobs.models import Job
from jobs.runner import Unfinished, job_next, job_run
from jobs.services import job_cancel, job_enqueue, job_retry, jobs_reap

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind of job whose handler each test puts in place."""
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    return "jobs.test"


def expire(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_job_run_stores_the_result_and_full_progress(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease, *, number: int) -> dict:
        lease.progress(1, 2, "half", force=True)
        return {"double": 2 * number}

    job = job_run(job_enqueue(kind=kind, parameters={"number": 21}).pk)
    assert (job.state, job.result, job.progress_done, job.progress_note) == ("succeeded", {"double": 42}, 2, "half")


def test_job_run_returns_a_broken_attempt_to_the_queue_until_none_is_left(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise OSError("the disk is full")

    job = job_enqueue(kind=kind)
    states = [job_run(job.pk).state for _ in range(job.max_attempts)]
    assert states == ["queued"] * (job.max_attempts - 1) + ["failed"]
    assert job_run(job.pk) is None
    job.refresh_from_db()
    assert "the disk is full" in job.error


@pytest.mark.parametrize("error", [PermanentJobError("bad weights"), ValueError("class 12 is out of range")])
def test_job_run_does_not_repeat_what_cannot_succeed(kind: str, error: Exception) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise error

    job = job_run(job_enqueue(kind=kind).pk)
    assert (job.state, job.attempt) == ("failed", 1)
    assert str(error) in job.error


def test_errors_on_purpose_speak_for_themselves_and_others_name_their_type(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease, *, is_meant: bool) -> None:
        raise PermanentJobError("bad weights") if is_meant else KeyError("weights")

    meant, unmeant = (job_run(job_enqueue(kind=kind, parameters={"is_meant": one}).pk) for one in (True, False))
    assert (meant.reason, unmeant.reason) == ("bad weights", "KeyError: 'weights'")
    assert "test_services.py" in meant.error


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


def test_job_of_unknown_kind_fails_with_its_name() -> None:
    job = job_run(job_enqueue(kind="jobs.nobody_does_this").pk)
    assert job.state == "failed"
    assert "jobs.nobody_does_this" in job.error


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


def test_an_unfinished_slice_goes_on_without_using_up_attempts(kind: str) -> None:
    slices = []

    @registry.handles(kind)
    def handler(lease: Lease) -> dict:
        slices.append(1)
        return Unfinished(step=len(slices)) if len(slices) < 9 else {"step": 9}

    job = job_enqueue(kind=kind)
    while not job.is_over:
        job = job_run(job.pk)
    assert (job.state, job.result) == ("succeeded", {"step": 9})


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


def test_a_worker_told_to_leave_gives_the_job_back(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise KeyboardInterrupt

    job = job_enqueue(kind=kind)
    with pytest.raises(KeyboardInterrupt):
        job_run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.lease_token) == ("queued", 0, None)
    assert job_next(["default"]).pk == job.pk


def test_reaper_announces_what_no_live_worker_holds(kind: str) -> None:
    held, lost, forgotten = (job_enqueue(kind=kind) for _ in range(3))
    job_claim(held.pk)
    job_claim(lost.pk)
    expire(lost)
    Job.objects.filter(pk=forgotten.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert jobs_reap() == 2
    assert job_claim(uuid.uuid4()) is None


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OperationalError("the server closed the connection")]
)
def test_a_full_disk_or_lost_database_costs_no_attempt_and_is_tried_again_later(kind: str, error: Exception) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise error

    job = job_enqueue(kind=kind)
    for _ in range(5):
        Job.objects.filter(pk=job.pk).update(not_before=None)
        job = job_run(job.pk)
        assert (job.state, job.attempt) == (Job.State.QUEUED, 0)
    assert str(error) in job.error
    assert job_next(["default"]) is None
    Job.objects.filter(pk=job.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    assert job_next(["default"]) == job


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


def test_a_retry_by_hand_does_not_wait(kind: str) -> None:
    job = job_enqueue(kind=kind, max_attempts=7)
    Job.objects.filter(pk=job.pk).update(state="failed", not_before=timezone.now() + timedelta(hours=1))
    assert job_retry(job).max_attempts == 7
    assert job_claim(job.pk) is not None
