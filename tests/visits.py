"""Visits of raters, taken through the services, up to the step that a test is about."""

from __future__ import annotations

import uuid

from survey.models import Rater, RaterSession, StudyVersion, Trial
from survey.selectors.trial import next_trials
from survey.services.visit.device import Device
from survey.services.visit.session import (
    session_begin,
    session_check_device,
    session_consent,
    session_start,
    session_take_tab,
)
from survey.services.visit.submission import VoteSubmission
from survey.services.visit.trial import trial_fault
from survey.services.visit.vote import Outcome, trials_issue, vote_create
from tests.factories import answers_to

TAB = "tab"
SCREEN = Device(width=1920, height=1080)


def begin(version: StudyVersion, *, rater: Rater | None = None, is_simulated: bool = False) -> RaterSession:
    """Return a session whose trials are drawn."""
    session = session_start(study=version.study, rater=rater, is_simulated=is_simulated)
    session_consent(session_id=session.pk, consent_sha256=version.consent_sha256)
    session_check_device(session_id=session.pk, device=SCREEN)
    return session_begin(session_id=session.pk)


def active(version: StudyVersion, **fields) -> RaterSession:
    """Return a session with an open tab and its first trials issued."""
    session = session_take_tab(session_id=begin(version, **fields).pk, tab=TAB)
    trials_issue(next_trials(session))
    return session


def next_trial(session: RaterSession) -> Trial:
    return session.trials.filter(state=Trial.State.OPEN).order_by("position").first()


def vote(session: RaterSession, choice: str = "left", **fields) -> Outcome:
    """Answer the session's next trial, by all its criteria alike."""
    trial = next_trial(session)
    fields = {
        "trial_id": trial.pk,
        "submission_key": uuid.uuid4(),
        "answers": answers_to(session.version, trial, choice),
        "response_ms": 900.0,
    } | fields
    return vote_create(session_id=session.pk, tab=TAB, submission=VoteSubmission(**fields))


def fault(session: RaterSession, trial: Trial) -> RaterSession:
    """Report a trial whose image does not load; what comes next is issued, as the page's endpoint does."""
    session = trial_fault(session_id=session.pk, tab=TAB, trial_id=trial.pk, kind="image")
    trials_issue(next_trials(session))
    return session


def vote_all(session: RaterSession, choice: str = "left") -> None:
    while next_trial(session) is not None:
        vote(session, choice)
