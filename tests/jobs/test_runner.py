from __future__ import annotations

import errno
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs import registry
from jobs.exceptions import PermanentJobError
from jobs.lease import Lease
from jobs.models import Job
from jobs.runner import Unfinished, job_next, job_run
from jobs.services import RUN_JOB, job_enqueue
from jobs.tasks import run_job

pytestmark = pytest.mark.django_db(transaction=True)


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
    assert "test_runner.py" in meant.error


def test_job_of_unknown_kind_fails_with_its_name() -> None:
    job = job_run(job_enqueue(kind="jobs.nobody_does_this").pk)
    assert job.state == "failed"
    assert "jobs.nobody_does_this" in job.error


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


def test_whoever_runs_a_job_by_hand_gets_its_error(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise PermanentJobError("bad weights")

    errors: list[Exception] = []
    job_run(job_enqueue(kind=kind).pk, on_error=errors.append)
    assert [str(error) for error in errors] == ["bad weights"]


def test_a_message_of_the_broker_runs_its_job(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> dict:
        return {"done": True}

    job = job_enqueue(kind=kind)
    run_job(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.result) == ("succeeded", {"done": True})
    assert run_job.name == RUN_JOB


def test_one_kind_of_job_has_one_handler(kind: str) -> None:
    registry.handles(kind)(print)
    with pytest.raises(ValueError, match=f"two handlers for '{kind}'"):
        registry.handles(kind)(repr)
