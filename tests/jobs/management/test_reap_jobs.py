"""The reaper: what it announces and shows, and that it outlives an outage."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from jobs.management.commands import reap_jobs
from jobs.models import Job
from jobs.services import job_enqueue, jobs_reap

pytestmark = pytest.mark.django_db


def forgotten(kind: str = "jobs.nobody_does_this") -> Job:
    """A job that waits since an hour without a word to the broker."""
    job = job_enqueue(kind=kind)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=2))
    return job


class Enough(Exception):
    """Ends a command that would go on for ever."""


def after(rounds: int):
    """Return a sleep that ends the command after so many rounds."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == rounds:
            raise Enough

    return sleep


def test_it_says_how_many_jobs_it_announced_again(capsys: pytest.CaptureFixture[str]) -> None:
    forgotten()
    job_enqueue(kind="jobs.nobody_does_this")
    call_command("reap_jobs")
    assert capsys.readouterr().out == "1 jobs announced again\n"


def test_it_shows_that_it_lives_where_a_file_is_named(settings, tmp_path: Path) -> None:
    settings.ALIVE_PATH = ""
    call_command("reap_jobs")
    settings.ALIVE_PATH = str(tmp_path / "alive")
    call_command("reap_jobs")
    assert (tmp_path / "alive").exists()


def test_it_is_silent_while_it_repeats_and_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "sleep", after(3))
    with pytest.raises(Enough):
        call_command("reap_jobs", every=5.0)
    assert capsys.readouterr().out == ""


def test_it_outlives_an_outage_of_the_database(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ALIVE_PATH = str(tmp_path / "alive")
    seen = []

    def reap() -> int:
        seen.append(settings.ALIVE_PATH)
        if len(seen) == 1:
            raise OperationalError("the server closed the connection")
        return jobs_reap()

    forgotten()
    monkeypatch.setattr(reap_jobs, "jobs_reap", reap)
    # The test's transaction would go with the connection.
    monkeypatch.setattr(reap_jobs.connection, "close", lambda: seen.append("closed"))
    monkeypatch.setattr(time, "sleep", after(2))
    with pytest.raises(Enough):
        call_command("reap_jobs", every=5.0)
    out, err = capsys.readouterr()
    assert err == "the database does not answer: the server closed the connection\n"
    assert out == "1 jobs announced again\n"
    assert seen[1] == "closed"


def test_one_round_by_hand_fails_with_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def reap() -> int:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(reap_jobs, "jobs_reap", reap)
    with pytest.raises(OperationalError):
        call_command("reap_jobs")
