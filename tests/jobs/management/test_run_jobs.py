"""The worker without a broker: what it takes, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from django.core.management import CommandError, call_command

from jobs import console, housekeeping, registry
from jobs.lease import Lease
from jobs.models import Job
from jobs.services import job_enqueue

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_signals")]


def test_it_runs_the_jobs_of_its_queues_in_their_order_and_stops(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran = []

    @registry.handles(kind)
    def handler(lease: Lease, *, number: int) -> None:
        ran.append(number)

    first, second = (job_enqueue(kind=kind, parameters={"number": number}) for number in (1, 2))
    other = job_enqueue(kind=kind, parameters={"number": 3}, queue="gpu")
    call_command("run_jobs", once=True, queues="default, mail")
    assert ran == [1, 2]
    assert capsys.readouterr().out.splitlines() == [
        "waiting for jobs in default, mail (Ctrl-C to stop)",
        f"{first}: started",
        f"{first}: succeeded",
        f"{second}: started",
        f"{second}: succeeded",
    ]
    other.refresh_from_db()
    assert other.state == Job.State.QUEUED


def test_it_waits_for_jobs_and_ctrl_c_gives_the_one_at_hand_back(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", lambda seconds: job_enqueue(kind=kind))
    call_command("run_jobs")
    assert capsys.readouterr().out.endswith("started\nstopped\n")
    job = Job.objects.get()
    assert (job.state, job.attempt) == (Job.State.QUEUED, 0)


def test_it_ends_after_the_job_at_hand_when_it_is_told_to_go(kind: str) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        lease.check()

    job_enqueue(kind=kind)
    job_enqueue(kind=kind)
    call_command("run_jobs")
    assert [(job.state, job.attempt) for job in Job.objects.all()] == [(Job.State.QUEUED, 0)] * 2


def test_it_ends_with_the_program_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    with open(ours) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(SystemExit):
            call_command("run_jobs", with_parent=True)


def test_it_does_the_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    monkeypatch.setattr(housekeeping, "_next", 0.0)

    def receiver(**kwargs: object) -> None:
        done.append(1)

    housekeeping.housekeeping.connect(receiver)
    try:
        call_command("run_jobs", once=True)
    finally:
        housekeeping.housekeeping.disconnect(receiver)
    assert done == [1]


def test_it_shows_how_far_a_job_is_and_ends_with_an_error_after_a_failed_one(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_FIRST_LINE_SECONDS", 0.0)

    @registry.handles(kind)
    def handler(lease: Lease, *, is_bad: bool) -> None:
        lease.progress(3, 10, "pairs")
        if is_bad:
            raise ValueError("no such file")

    bad, good = (job_enqueue(kind=kind, parameters={"is_bad": is_bad}) for is_bad in (True, False))
    with pytest.raises(CommandError, match=r"1 job\(s\) failed: "):
        call_command("run_jobs", once=True)
    shown = capsys.readouterr()
    assert shown.err.count("3 of 10, pairs") == 2
    assert f"{bad}: failed: no such file" in shown.out
    assert f"{good}: succeeded" in shown.out


def test_one_that_waits_for_jobs_says_at_its_end_which_failed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @registry.handles(kind)
    def handler(lease: Lease) -> None:
        raise ValueError("no such file")

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    bad = job_enqueue(kind=kind)
    with pytest.raises(CommandError, match=rf"1 job\(s\) failed: {bad}"):
        call_command("run_jobs")
