"""Times of answers are those that the server can believe."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from survey.models import RaterSession, Trial, Vote
from survey.reports.screening import exclusion_proposals
from survey.selectors.vote import vote_showings
from survey.services.study.study import study_transition
from survey.services.visit.vote_times import SLACK_MS, vote_times
from tests.factories import make_running
from tests.visits import active, next_trial, vote

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
DAY_MS = 24 * 3600 * 1000.0


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def timed(
    claimed: float | None,
    *,
    seconds: float,
    exposure: float | None = None,
    until: datetime | None = None,
    heard: float = 0.0,
):
    """Return the times of an answer that comes so long after its trial was issued."""
    return vote_times(
        response_ms=claimed,
        exposure_ms=exposure,
        issued_at=NOW,
        heard_at=at(heard),
        answered_until=until,
        now=at(seconds),
        minimum_ms=800.0,
    )


def test_a_time_that_fits_is_the_browsers() -> None:
    times = timed(2000.0, seconds=3, exposure=1900.0)
    assert (times.response_ms, times.exposure_ms, times.remarks) == (2000.0, 1900.0, {})
    assert times.answered_until == at(2)


@pytest.mark.parametrize("claimed", [None, 0.0, DAY_MS])
def test_no_time_zero_and_a_day_become_the_time_that_passed(claimed: float | None) -> None:
    times = timed(claimed, seconds=0.3)
    assert times.response_ms == 300.0
    assert times.remarks.pop("under_minimum")
    assert times.remarks == ({} if claimed is None else {"claimed_response_ms": claimed})


def test_an_exposure_longer_than_the_trial_was_there_is_no_exposure() -> None:
    times = timed(2000.0, seconds=3, exposure=DAY_MS)
    assert (times.exposure_ms, times.remarks) == (3000.0, {"claimed_exposure_ms": DAY_MS})


def test_answers_that_waited_for_the_network_keep_their_times() -> None:
    """Four trials issued at once, answered offline for 20 s each, sent together."""
    until = None
    for number in range(4):
        times = timed(20_000.0, seconds=81, until=until, heard=81.0 if number else 0.0)
        assert (times.response_ms, times.remarks) == (20_000.0, {})
        until = times.answered_until
    assert until == at(80)


def test_a_script_cannot_claim_more_time_than_goes_by() -> None:
    """Answers every 0.3 s that claim 1.2 s each: what they claim together soon exceeds what the server saw."""
    until, stored = None, []
    for number in range(1, 41):
        times = timed(1200.0, seconds=0.3 * number, until=until, heard=0.3 * (number - 1))
        until = times.answered_until
        stored.append(times.response_ms)
    assert sum(stored) <= 0.3 * 40 * 1000 + SLACK_MS
    assert sorted(stored)[20] < 500


def test_a_clock_that_was_set_back_condemns_nobody() -> None:
    times = vote_times(
        response_ms=2000.0,
        exposure_ms=None,
        issued_at=at(3600),
        heard_at=at(3600),
        answered_until=at(3590),
        now=NOW,
        minimum_ms=800.0,
    )
    assert (times.response_ms, times.remarks) == (2000.0, {})
    assert times.answered_until <= at(5)


@pytest.mark.django_db
@pytest.mark.parametrize("claimed", [None, 0.0, DAY_MS - 1])
def test_speed_rules_find_whoever_claims_no_time_none_or_a_day(claimed: float | None) -> None:
    plan = {"practice_trials": 0, "minimum_exposure_ms": 800, "exclusion_rules": [{"rule": "too_fast"}]}
    version = make_running(pairs=12, **plan)
    honest, hasty = active(version), active(version)
    for session, given in ((honest, 2500.0), (hasty, claimed)):
        while next_trial(session):
            if session is honest:  # the trial was issued a while ago
                Trial.objects.filter(session=session, issued_at__isnull=False).update(
                    issued_at=timezone.now() - timedelta(seconds=60)
                )
            vote(session, response_ms=given, submission_key=uuid.uuid4())
    study_transition(study=version.study, name="close", actor=None, reason="x")
    assert {proposal.session_id for proposal in exclusion_proposals(version.study)} == {hasty.pk}
    assert Vote.objects.filter(trial__session=hasty).count() == hasty.trials.count(), "flagged, not lost"
    marked = {line["trial"] for line in vote_showings(version.study) if line.get("under_minimum")}
    assert marked == {str(trial.pk) for trial in hasty.trials.all()}


@pytest.mark.django_db
def test_a_rehearsal_claims_what_it_likes() -> None:
    session = active(make_running(practice_trials=0), is_simulated=True)
    stored = vote(session, response_ms=60_000.0).vote
    assert stored.response_ms == 60_000.0
    assert RaterSession.objects.get(pk=session.pk).answered_until is None
