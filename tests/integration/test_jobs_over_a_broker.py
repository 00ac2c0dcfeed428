from __future__ import annotations

from pathlib import Path

import pytest

from jobs.models import Job
from jobs.services import job_announce, job_enqueue, jobs_reap
from tests.workers import celery_worker, kill, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def test_worker_process_takes_a_job_from_the_broker_and_survives_a_doubled_message(
    broker_url: str, tmp_path: Path
) -> None:
    job = job_enqueue(kind="jobs.nobody_does_this")
    job_announce(job)
    with celery_worker(broker_url, tmp_path / "one.log"):
        wait_until(lambda: state(job) == Job.State.FAILED, "the worker has refused the job")
    assert job.attempt == 1
    assert "jobs.nobody_does_this" in job.error


def test_job_of_a_killed_worker_is_finished_by_another(broker_url: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    job = job_enqueue(kind="tests.count", parameters={"trace": str(trace), "up_to": 30})
    job_announce(job)
    with celery_worker(broker_url, tmp_path / "first.log") as worker:
        wait_until(lambda: trace.exists() and len(trace.read_text().split()) >= 3, "the first worker has begun")
        kill(worker)
    assert state(job) == Job.State.RUNNING
    with celery_worker(broker_url, tmp_path / "second.log"):
        # Whoever reaps first, this process or the second worker, the job is announced again once its lease has run out.
        wait_until(
            lambda: jobs_reap() >= 0 and state(job) == Job.State.SUCCEEDED,
            "the second worker has finished",
            seconds=120,
        )
    assert (job.result, job.attempt) == ({"counted": 30}, 2)
