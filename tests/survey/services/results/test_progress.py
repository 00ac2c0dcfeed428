"""Counts that are kept and carried on say the same as counting every vote again."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from survey.models import FaultReport, RaterSession, SessionEvent, StudyVersion, Trial, Vote, VoteTally
from survey.selectors.trial import AHEAD, next_trials
from survey.services.results import progress
from survey.services.results.progress import progress_of, version_tally
from survey.services.visit.submission import Answer, VoteSubmission
from survey.services.visit.vote import trials_issue, vote_create, vote_undo
from tests.factories import make_running, make_user, make_visit
from tests.survey.admin.test_study_pages import vote_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every count at once."""
    monkeypatch.setattr(progress, "WORTH_KEEPING", 1)
    monkeypatch.setattr(progress, "SETTLED", timedelta(seconds=-1))


def recount(version) -> Counter:
    """Count the current votes one by one, by the definition."""
    counts: Counter = Counter()
    minimum = version.config["trial"]["minimum_exposure_ms"]
    for vote in Vote.objects.filter(is_current=True, trial__session__version=version).select_related("trial__session"):
        trial, session = vote.trial, vote.trial.session
        if trial.check_kind == "practice":
            continue
        phase = "simulated" if session.is_simulated else "pilot" if session.is_pilot else "main"
        counts[phase, "votes", ""] += 1
        counts[phase, "hour", vote.submitted_at.strftime("%Y-%m-%d %H")] += 1
        counts[phase, "time", str(min(int(vote.response_ms // 500), 40))] += 1
        counts[phase, "fast", ""] += vote.response_ms < minimum + 200
        if trial.check_kind in {"degraded", "identical"}:
            is_fooled = trial.check_kind == "degraded" and vote.choice == trial.degraded_side
            is_decided = trial.check_kind == "identical" and vote.choice != "tie"
            counts[phase, "check", trial.check_kind] += 1
            counts[phase, "failed", trial.check_kind] += is_fooled or is_decided
    return counts


def counted(version) -> Counter:
    tally = version_tally(version)
    assert tally.is_whole
    return +tally.counts


def voting(version, **start) -> RaterSession:
    """Return a visit that has answered half of its trials and can go on."""
    session = make_visit(version, **start)
    half = session.trials.order_by("-position")[:4]
    Vote.objects.filter(trial__in=[trial.pk for trial in half]).delete()
    Trial.objects.filter(pk__in=[trial.pk for trial in half]).update(state="open", issued_at=None)
    RaterSession.objects.filter(pk=session.pk).update(state="active", step="trials")
    return RaterSession.objects.get(pk=session.pk)


def submission(session: RaterSession, choice: str, response_ms: float) -> None:
    trials = list(next_trials(session)[:AHEAD])
    trials_issue(trials)
    given = VoteSubmission(
        trial_id=trials[0].pk, submission_key=uuid.uuid4(), answers=[Answer(choice=choice)], response_ms=response_ms
    )
    vote_create(session_id=session.pk, tab="tab", submission=given)


def test_kept_counts_carried_on_equal_a_recount_also_after_an_undo(eager) -> None:
    version = make_running(pairs=12, votes_per_pair=4, trials_per_session=12, repeat_trials=1)
    make_visit(version)
    make_visit(version, is_simulated=True)
    assert counted(version) == +recount(version)
    session = voting(version)
    submission(session, "left", 150.0)
    assert counted(version) == +recount(version)
    kept = VoteTally.objects.get(version=version)
    assert kept.last_vote == Vote.objects.order_by("-pk").first().pk
    # What was counted already is undone, given anew, undone and given again before the next look.
    vote_undo(session_id=session.pk, tab="tab", submission_key=uuid.uuid4())
    assert counted(version) == +recount(version)
    submission(session, "right", 2600.0)
    vote_undo(session_id=session.pk, tab="tab", submission_key=uuid.uuid4())
    submission(session, "tie", 30_000.0)
    assert counted(version) == +recount(version)
    VoteTally.objects.all().delete()
    assert counted(version) == +recount(version)


def test_old_votes_are_counted_once_and_new_ones_for_each_page(monkeypatch: pytest.MonkeyPatch) -> None:
    version = make_running(votes_per_pair=4)
    vote_on(version, raters=3)
    monkeypatch.setattr(progress, "WORTH_KEEPING", 1)
    version_tally(version)
    assert VoteTally.objects.get().counts == [], "votes of this minute may still have neighbours to come"
    old = Vote.objects.order_by("pk")[4].pk
    Vote.objects.filter(pk__lte=old).update(submitted_at=version.frozen_at)
    monkeypatch.setattr(progress, "SETTLED", timedelta(seconds=0))
    Vote.objects.filter(pk__gt=old).update(submitted_at=version.frozen_at + timedelta(days=1))
    assert counted(version) == +recount(version)
    assert VoteTally.objects.get().last_vote == old


def test_a_page_counts_so_many_votes_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch, eager) -> None:
    owner = make_user("owner")
    version = make_running(owner=owner, votes_per_pair=4)
    vote_on(version, raters=4)
    Vote.objects.update(submitted_at=version.frozen_at)
    monkeypatch.setattr(progress, "LEAP", 5)
    monkeypatch.setattr(progress, "_first_key", lambda version, newest: Vote.objects.order_by("pk").first().pk - 1)
    client = Client()
    client.force_login(owner)
    address = f"/admin/survey/study/{version.study_id}/"
    assert "first 5 votes" in client.get(address).content.decode()
    found = progress_of(version.study)
    assert (found.counted_votes, found.main.votes, found.is_whole) == (10, 12, False)
    assert (progress_of(version.study).counted_votes, progress_of(version.study).is_whole) == (12, True)


def test_counting_begins_where_the_version_was_frozen(eager) -> None:
    early = make_running(votes_per_pair=8)
    vote_on(early, raters=8)
    StudyVersion.objects.update(frozen_at=early.frozen_at - timedelta(days=3))
    Vote.objects.update(submitted_at=early.frozen_at - timedelta(days=2))
    early.refresh_from_db()
    version = make_running(votes_per_pair=4)
    vote_on(version, raters=2)
    assert counted(version) == +recount(version)
    with CaptureQueriesContext(connection) as queries:
        version_tally(version)
    assert len(queries) == 5, "the place is looked for once"
    assert counted(early) == +recount(early) != Counter()


def test_flags_and_plots_are_of_one_phase() -> None:
    version = make_running(votes_per_pair=4, minimum_exposure_ms=1000)
    vote_on(version, raters=1, trials=2)
    vote_on(version, raters=3, trials=3, is_pilot=True)
    pilot = RaterSession.objects.filter(is_pilot=True).first()
    SessionEvent.objects.create(session=pilot, kind="blur")
    FaultReport.objects.create(trial=pilot.trials.first(), kind="image")
    flags = {flag.name: (flag.count, flag.total) for flag in progress_of(version.study).flags}
    assert flags["Fast votes"] == (0, 2)
    assert flags["Image faults"] == (0, 2)
    assert flags["Sessions that left the tab"] == (0, 1)
