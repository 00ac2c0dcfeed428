"""Store votes: once each, whatever the network, the tabs and the fingers do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from survey.beyond import SEPARATOR
from survey.criteria import judged_by
from survey.exceptions import NothingToUndo, OtherTab, SessionNotActive, TrialUnknown, VoteConflict
from survey.models import RaterSession, Slot, Trial, Vote
from survey.selectors.trial import NextTrial, next_trials
from survey.selectors.version import frozen_config
from survey.services.assignment.slots import is_lease_short, lease_end, slots_renew
from survey.services.visit.session import session_locked
from survey.services.visit.submission import VoteSubmission, answers_check
from survey.services.visit.vote_rows import moment_of, session_and_trials, session_and_trials_unlocked, vote_store
from survey.services.visit.vote_times import vote_times

__all__ = ["Outcome", "trials_issue", "vote_create", "vote_undo"]

State = Trial.State
Choice = Vote.Choice


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The stored vote, whether this submission stored it, the visit, and the trials to show next.

    Of the votes by several criteria ``vote`` is the headline's.
    """

    vote: Vote
    is_replay: bool
    session: RaterSession
    next_trials: list[NextTrial]
    is_correct: bool | None = None


def vote_create(*, session_id: uuid.UUID, tab: str, submission: VoteSubmission) -> Outcome:
    """Store the answer to an issued trial and issue what comes next.

    A replay of the submission key returns the vote that it stored the first time.

    Raises
    ------
    SessionNotActive, OtherTab, TrialUnknown
        If the visit, the tab or the trial may not vote.
    VoteConflict
        If the trial has another answer.
    BadSubmission
        If the answers are not those that the study asks for.
    """
    try:
        if outcome := _vote_at_once(session_id, tab, submission):
            return outcome
        with transaction.atomic():
            return _vote(session_id, tab, submission)
    except IntegrityError:
        # The key was used before: for an answer that was taken back since, or by somebody else.
        return _replayed(session_id, submission)


def _voting(session_id: uuid.UUID, tab: str) -> RaterSession:
    session = session_locked(session_id)
    _check_voting(session, tab)
    return session


def _check_voting(session: RaterSession, tab: str) -> None:
    if session.state not in {RaterSession.State.ACTIVE, RaterSession.State.EXPIRED} or session.step != "trials":
        raise SessionNotActive
    if session.tab != tab:
        raise OtherTab


def _vote_at_once(session_id: uuid.UUID, tab: str, submission: VoteSubmission) -> Outcome | None:
    """Store an ordinary vote without a lock before the write; None, with nothing written, for what needs one."""
    found = session_and_trials_unlocked(session_id, submission.trial_id)
    if found is None:
        return None
    session, rows = found
    trial = _named(rows, submission)
    # Whoever may not vote is refused under lock, where nothing changes meanwhile.
    is_ordinary = session.step == "trials" and session.tab == tab and trial is not None and _takes_votes(trial)
    if not is_ordinary or is_lease_short(session, timezone.now()):
        return None
    return _stored(session, rows, trial, submission)


def _vote(session_id: uuid.UUID, tab: str, submission: VoteSubmission) -> Outcome:
    session, rows = session_and_trials(session_id, submission.trial_id)
    _check_voting(session, tab)
    trial = _named(rows, submission)
    if trial is None:
        # Behind more open trials than a browser is given: either not its own, or not issued.
        raise TrialUnknown
    if not _takes_votes(trial):
        answers_check(submission.answers, frozen_config(session.version_id), trial_criterion=trial.criterion)
        return _answered_before(session, trial, submission)
    outcome = _stored(session, rows, trial, submission)
    if outcome is None:
        raise RuntimeError(f"visit {session_id} changed under its lock")
    if is_lease_short(session, session.last_seen_at):
        slots_renew(session=session, now=session.last_seen_at)
    return outcome


def _named(rows: Sequence[NextTrial], submission: VoteSubmission) -> NextTrial | None:
    return next((row for row in rows if row.pk == submission.trial_id), None)


def _takes_votes(trial: NextTrial) -> bool:
    return trial.state == State.OPEN and trial.issued_at is not None


def _stored(
    session: RaterSession, rows: Sequence[NextTrial], trial: NextTrial, submission: VoteSubmission
) -> Outcome | None:
    """Check and store the answers to a trial that takes them; None if the visit has changed since it was read."""
    config = frozen_config(session.version_id)
    answers_check(submission.answers, config, trial_criterion=trial.criterion)
    votes = _timed(submission, session, trial)
    next_trials = [row for row in rows if row.pk != trial.pk]
    is_counted = trial.check_kind != Trial.CheckKind.PRACTICE
    if not vote_store(votes, session=session, trial=trial, next_trials=next_trials, is_counted=is_counted):
        return None
    vote = _judged(votes, config)
    return Outcome(
        vote=vote,
        is_replay=False,
        session=session,
        next_trials=next_trials,
        is_correct=_is_correct(trial, vote.choice),
    )


def _judged(votes: Sequence[Vote], config: dict[str, Any]) -> Vote:
    """Return the vote that says how practice went."""
    wanted = judged_by(config, [vote.criterion for vote in votes])
    return next(vote for vote in votes if vote.criterion == wanted)


def _timed(submission: VoteSubmission, session: RaterSession, trial: NextTrial) -> list[Vote]:
    """Return a vote each answer, with times that can be true; move on until when the visit is accounted for."""
    votes = [
        Vote(
            trial_id=trial.pk,
            criterion=answer.criterion,
            submission_key=submission.submission_key,
            choice=answer.choice,
            acceptable=answer.acceptable or "",
            strength=answer.strength,
            reasons=SEPARATOR.join(answer.reasons or ()),
            response_ms=submission.response_ms,
            exposure_ms=submission.exposure_ms,
            presentation=submission.presentation,
        )
        for answer in submission.answers
    ]
    if session.is_simulated:
        return votes  # a rehearsal's raters claim minutes and take none
    times = vote_times(
        response_ms=submission.response_ms,
        exposure_ms=submission.exposure_ms,
        issued_at=moment_of(trial.issued_at),
        heard_at=session.last_seen_at,
        answered_until=session.answered_until,
        now=timezone.now(),
        minimum_ms=frozen_config(session.version_id)["trial"]["minimum_exposure_ms"],
    )
    presentation = submission.presentation | times.remarks
    for vote in votes:
        vote.response_ms, vote.exposure_ms, vote.presentation = times.response_ms, times.exposure_ms, presentation
    session.answered_until = times.answered_until
    return votes


def _is_correct(trial: Trial | NextTrial, choice: str) -> bool | None:
    """Return how practice went; None for any other trial, so that no check gives itself away."""
    if trial.check_kind != Trial.CheckKind.PRACTICE or not trial.degraded_side:
        return None
    return choice == (Choice.RIGHT if trial.degraded_side == "left" else Choice.LEFT)


def trials_issue(trials: list[NextTrial]) -> None:
    """Record that trials go to the browser."""
    if keys := [trial.pk for trial in trials if trial.issued_at is None]:
        Trial.objects.filter(pk__in=keys, issued_at__isnull=True).update(issued_at=timezone.now())


def _answered_before(session: RaterSession, trial: NextTrial, submission: VoteSubmission) -> Outcome:
    votes = list(Vote.objects.filter(trial_id=trial.pk, is_current=True))
    if not votes:
        raise TrialUnknown if trial.state == State.OPEN else VoteConflict
    if votes[0].submission_key != submission.submission_key:
        raise VoteConflict
    return _replay(session, trial, _judged(votes, frozen_config(session.version_id)))


def _replay(session: RaterSession, trial: Trial | NextTrial, vote: Vote) -> Outcome:
    ahead = next_trials(session)
    trials_issue(ahead)
    return Outcome(
        vote=vote, is_replay=True, session=session, next_trials=ahead, is_correct=_is_correct(trial, vote.choice)
    )


def _replayed(session_id: uuid.UUID, submission: VoteSubmission) -> Outcome:
    with transaction.atomic():
        session = session_locked(session_id)
        votes = list(
            Vote.objects.select_related("trial")
            .filter(submission_key=submission.submission_key, trial__session=session, trial_id=submission.trial_id)
            .exclude(choice=Choice.UNDO)
        )
        if not votes:
            raise VoteConflict("this submission key was used for another trial; make a new one")
        vote = _judged(votes, frozen_config(session.version_id))
        return _replay(session, vote.trial, vote)


def vote_undo(*, session_id: uuid.UUID, tab: str, submission_key: uuid.UUID) -> Outcome:
    """Take back the last vote, by all its criteria: it stays in the table, no longer current; its trial is open again.

    The slot stays with the session under its lease, and goes back like any other if no new answer comes.
    A replay of the key changes nothing.

    Raises
    ------
    NothingToUndo
        If there is no vote, the last one was a practice, or it was taken back already.
    """
    with transaction.atomic():
        session = _voting(session_id, tab)
        done = Vote.objects.filter(submission_key=submission_key).select_related("trial").first()
        if done is not None:
            if done.trial.session_id != session.pk or done.choice != Choice.UNDO:
                raise VoteConflict("this submission key was used for another answer; make a new one")
            return _replay(session, done.trial, done)
        last = Vote.objects.filter(trial__session=session).select_related("trial").order_by("-pk").first()
        if last is None or not last.is_current or last.trial.check_kind == Trial.CheckKind.PRACTICE:
            raise NothingToUndo
        trial = last.trial
        Vote.objects.filter(trial=trial, is_current=True).update(is_current=False)
        undo = Vote.objects.create(
            trial=trial,
            criterion=last.criterion,
            submission_key=submission_key,
            choice=Choice.UNDO,
            is_current=False,
        )
        Trial.objects.filter(pk=trial.pk).update(state=State.OPEN)
        Slot.objects.filter(pk=trial.slot_id, session=session).update(
            is_answered=False, lease_expires_at=lease_end(session, timezone.now())
        )
        session.answered_count -= 1
        session.last_seen_at, session.state = timezone.now(), RaterSession.State.ACTIVE
        session.save(update_fields=["answered_count", "last_seen_at", "state"])
        if is_lease_short(session, session.last_seen_at):
            slots_renew(session=session, now=session.last_seen_at)
        ahead = next_trials(session)
        trials_issue(ahead)
        return Outcome(vote=undo, is_replay=False, session=session, next_trials=ahead)
