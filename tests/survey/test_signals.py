"""Visits that nobody comes back to are marked by whoever looks after the jobs, and by the study's page itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from jobs import housekeeping
from survey.models import RaterSession
from survey.services.results.progress import progress_of
from survey.services.visit.session import session_consent, session_start
from tests.factories import make_running, make_visit
from tests.visits import active, fault, next_trial

pytestmark = pytest.mark.django_db
State = RaterSession.State


@pytest.fixture(autouse=True)
def _due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_next", 0.0)


def fall_silent(*sessions: RaterSession) -> None:
    """Let the visits' last sign of life be more than a lease ago."""
    long_ago = timezone.now() - timedelta(minutes=61)
    rows = RaterSession.objects.filter(pk__in=[session.pk for session in sessions])
    rows.update(last_seen_at=long_ago, lease_expires_at=timezone.now() - timedelta(minutes=1))
    for session in sessions:
        session.slots.update(lease_expires_at=timezone.now() - timedelta(minutes=1))


def states(*sessions: RaterSession) -> list[str]:
    return [RaterSession.objects.get(pk=session.pk).state for session in sessions]


@pytest.mark.parametrize("command", [("reap_jobs", {}), ("run_jobs", {"once": True})])
def test_whoever_looks_after_the_jobs_marks_abandoned_visits(command) -> None:
    version = make_running(pairs=8)
    at_work, amid_trials, at_the_door = active(version), active(version), session_start(study=version.study)
    fall_silent(amid_trials, at_the_door)
    name, options = command
    call_command(name, **options)
    assert states(at_work, amid_trials, at_the_door) == [State.ACTIVE, State.EXPIRED, State.EXPIRED]


def test_the_study_page_counts_abandoned_visits_without_any_worker() -> None:
    version = make_running(pairs=8)
    make_visit(version)
    gone = active(version)
    assert progress_of(version.study).main.completion_percent == 100
    assert progress_of(version.study).reserved > 0
    fall_silent(gone)
    progress = progress_of(version.study)
    assert (progress.main.completion_percent, progress.main.working, progress.reserved) == (50, 0, 0)


def test_whoever_comes_back_goes_on_where_the_visit_stood() -> None:
    version = make_running(pairs=8)
    at_the_door, amid_trials = session_start(study=version.study), active(version)
    fall_silent(at_the_door, amid_trials)
    call_command("reap_jobs")
    session_consent(session_id=at_the_door.pk, consent_sha256=version.consent_sha256)
    fault(amid_trials, next_trial(amid_trials))
    assert states(at_the_door, amid_trials) == [State.ARRIVED, State.ACTIVE]
