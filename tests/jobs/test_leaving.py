"""What a worker does that is told to go; tests/integration/test_compose_services.py stops that of the compose file."""

from __future__ import annotations

import os
import signal
import time

import pytest

from jobs import leaving
from jobs.lease import Lease
from jobs.models import Job
from jobs.registry import handles
from jobs.runner import job_run
from jobs.services import job_enqueue

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _listening(own_signals: None) -> None:
    """Listen as a worker does."""
    leaving.leave_on(signal.SIGTERM, leaving.TELL)


@pytest.mark.parametrize("told", [signal.SIGTERM, leaving.TELL])
def test_a_job_stops_at_its_next_look_and_costs_no_attempt(kind: str, told: signal.Signals) -> None:
    seen = []

    @handles(kind)
    def listens(lease: Lease) -> None:
        os.kill(os.getpid(), told)
        seen.append("told")
        lease.progress(1, 2)
        seen.append("went on")

    job = job_run(job_enqueue(kind=kind).pk)
    assert (job.state, job.attempt, seen) == (Job.State.QUEUED, 0, ["told"])


def test_a_job_that_does_not_look_is_cut_off_and_costs_no_attempt(kind: str) -> None:
    @handles(kind)
    def is_deaf(lease: Lease) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    job = job_enqueue(kind=kind)
    with pytest.raises(SystemExit):
        job_run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (Job.State.QUEUED, 0)


def test_an_idle_process_goes_at_once() -> None:
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGTERM)
