from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from survey.exceptions import (
    AnswersMismatch,
    BadSubmission,
    NothingToUndo,
    OtherTab,
    SessionNotActive,
    TrialUnknown,
    VoteConflict,
)
from survey.models import RaterSession, Slot, Trial, Vote
from survey.services.visit import vote as vote_service
from survey.services.visit.session import session_take_tab, session_withdraw
from survey.services.visit.submission import Answer, VoteSubmission
from survey.services.visit.vote import vote_create, vote_undo
from tests.factories import CRITERIA, answers_to, make_running
from tests.visits import TAB, active, fault, next_trial, vote, vote_all

pytestmark = pytest.mark.django_db
TOGETHER = {"criteria": CRITERIA, "criteria_design": "together"}


def test_a_vote_is_stored_counted_and_answers_its_slot() -> None:
    session = active(make_running(practice_trials=0))
    trial = next_trial(session)
    outcome = vote(session, "right", exposure_ms=850.0, presentation={"layout": "row"})
    stored = Vote.objects.get()
    assert (stored.trial_id, stored.choice, stored.is_current, stored.exposure_ms) == (trial.pk, "right", True, 850.0)
    assert not outcome.is_replay
    assert [row.position for row in outcome.next_trials] == [2, 3, 4, 5]
    session.refresh_from_db()
    trial.refresh_from_db()
    assert (session.answered_count, trial.state) == (1, Trial.State.ANSWERED)
    assert trial.slot is None or trial.slot.is_answered


def test_a_replay_returns_the_stored_vote() -> None:
    session = active(make_running(practice_trials=0))
    submission = VoteSubmission(
        trial_id=next_trial(session).pk, submission_key=uuid.uuid4(), answers=[Answer(choice="left")]
    )
    first = vote_create(session_id=session.pk, tab=TAB, submission=submission)
    vote(session)
    again = vote_create(session_id=session.pk, tab=TAB, submission=submission)
    assert again.is_replay
    assert again.vote.pk == first.vote.pk
    assert Vote.objects.count() == 2
    session.refresh_from_db()
    assert session.answered_count == 2


def test_another_answer_to_an_answered_trial_is_refused() -> None:
    session = active(make_running(practice_trials=0))
    trial = next_trial(session)
    vote(session)
    with pytest.raises(VoteConflict):
        vote(session, "right", trial_id=trial.pk)
    assert Vote.objects.get().choice == "left"


def test_a_key_that_was_used_for_another_trial_is_refused() -> None:
    session, stranger = (active(make_running(practice_trials=0)) for _ in range(2))
    key = uuid.uuid4()
    vote(session, submission_key=key)
    for who in (session, stranger):
        with pytest.raises(VoteConflict):
            vote(who, submission_key=key)
    assert Vote.objects.count() == 1


def test_a_trial_that_was_not_issued_takes_no_vote() -> None:
    session = active(make_running(practice_trials=0))
    for trial_id in (session.trials.order_by("position").last().pk, uuid.uuid4()):
        with pytest.raises(TrialUnknown):
            vote(session, trial_id=trial_id)
    other = active(make_running(practice_trials=0))
    with pytest.raises(TrialUnknown):
        vote(session, trial_id=next_trial(other).pk)


def test_an_older_tab_and_a_finished_visit_take_no_vote() -> None:
    session = active(make_running(practice_trials=0))
    session_take_tab(session_id=session.pk, tab="newer")
    with pytest.raises(OtherTab):
        vote(session)
    session_take_tab(session_id=session.pk, tab=TAB)
    session_withdraw(session_id=session.pk)
    with pytest.raises(SessionNotActive):
        vote(session)


def test_ties_are_refused_where_the_study_has_none() -> None:
    session = active(make_running(practice_trials=0, are_ties_allowed=False))
    with pytest.raises(BadSubmission, match="no ties"):
        vote(session, "tie")


@pytest.mark.parametrize(
    "wrong",
    [
        {"response_ms": -1.0},
        {"response_ms": float("nan")},
        {"exposure_ms": 1e12},
        {"presentation": {"arm": "robust"}},
    ],
)
def test_wrong_values_are_refused(wrong) -> None:
    with pytest.raises(BadSubmission):
        VoteSubmission(trial_id=uuid.uuid4(), submission_key=uuid.uuid4(), answers=[Answer(choice="left")], **wrong)


@pytest.mark.parametrize("choice", ["both", "undo", ""])
def test_an_answer_is_left_right_or_tie(choice) -> None:
    with pytest.raises(BadSubmission, match="left, right or tie"):
        Answer(choice=choice)


@pytest.mark.parametrize(
    "answers",
    [[], [Answer(criterion="detail", choice="left")], [Answer(choice="left"), Answer(choice="right")]],
)
def test_a_study_of_one_question_takes_one_answer(answers) -> None:
    session = active(make_running(practice_trials=0))
    with pytest.raises(BadSubmission, match="one answer without a criterion"):
        vote(session, answers=answers)
    assert not Vote.objects.exists()


def test_undo_adds_a_row_and_opens_the_trial_again() -> None:
    session = active(make_running(practice_trials=0, repeat_trials=0, identical_trials=0, degraded_trials=0))
    trial = next_trial(session)
    vote(session)
    key = uuid.uuid4()
    outcome = vote_undo(session_id=session.pk, tab=TAB, submission_key=key)
    assert outcome.next_trials[0].pk == trial.pk
    again = vote_undo(session_id=session.pk, tab=TAB, submission_key=key)
    assert again.is_replay
    slot = Slot.objects.get(pk=trial.slot_id)
    assert (slot.is_answered, slot.session_id) == (False, session.pk)
    vote(session, "right")
    assert list(Vote.objects.order_by("pk").values_list("choice", "is_current")) == [
        ("left", False),
        ("undo", False),
        ("right", True),
    ]
    session.refresh_from_db()
    slot.refresh_from_db()
    assert (session.answered_count, slot.is_answered) == (1, True)


def test_a_replay_of_a_vote_that_was_taken_back_finds_it() -> None:
    session = active(make_running(practice_trials=0))
    submission = VoteSubmission(
        trial_id=next_trial(session).pk, submission_key=uuid.uuid4(), answers=[Answer(choice="left")]
    )
    vote_create(session_id=session.pk, tab=TAB, submission=submission)
    vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    assert vote_create(session_id=session.pk, tab=TAB, submission=submission).is_replay
    assert not Vote.objects.filter(is_current=True).exists()


def test_only_the_last_vote_can_be_taken_back_once_and_no_practice() -> None:
    session = active(make_running(practice_trials=1))
    with pytest.raises(NothingToUndo):
        vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    vote(session)  # practice
    with pytest.raises(NothingToUndo):
        vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    vote(session)
    vote(session)
    vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    with pytest.raises(NothingToUndo):
        vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())


def test_practice_tells_how_it_went_and_main_trials_never_do() -> None:
    session = active(make_running(practice_trials=2))
    for is_right in (True, False):
        spoilt = next_trial(session).degraded_side
        other = "right" if spoilt == "left" else "left"
        assert vote(session, other if is_right else spoilt).is_correct is is_right
    while next_trial(session) is not None:
        assert vote(session).is_correct is None
    session.refresh_from_db()
    assert session.answered_count == session.trial_count


@pytest.mark.parametrize("trials", [3, 30])
def test_the_number_of_queries_of_a_vote_does_not_grow(trials) -> None:
    plan = {"practice_trials": 0, "identical_trials": 0, "degraded_trials": 0, "repeat_trials": 0}
    version = make_running(pairs=30, trials_per_session=trials, votes_per_pair=20, **plan)
    for _ in range(1 if trials == 3 else 3):
        vote_all(active(version))
    session = active(version)
    vote(session)
    submission = VoteSubmission(
        trial_id=next_trial(session).pk, submission_key=uuid.uuid4(), answers=[Answer(choice="left")]
    )
    with CaptureQueriesContext(
        connection,
    ) as queries:
        vote_create(session_id=session.pk, tab=TAB, submission=submission)
    # session and trials, savepoint, session, slot, trials and vote, release; on PostgreSQL one query reads and one
    # writes. The savepoint is the test's own.
    assert len(queries) == (4 if connection.vendor == "postgresql" else 8), [query["sql"][:90] for query in queries]


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Have something happen after a vote has read its visit, and before it writes."""
    honest = vote_service.session_and_trials_unlocked

    def read(*keys: uuid.UUID) -> Any:
        found = honest(*keys)
        monkeypatch.undo()
        change()
        return found

    monkeypatch.setattr(vote_service, "session_and_trials_unlocked", read)


def test_a_vote_meets_what_happened_after_it_was_read(monkeypatch) -> None:
    session = active(make_running(practice_trials=0))
    first, second = next_trial(session), session.trials.get(position=2)
    key = uuid.uuid4()
    meanwhile(monkeypatch, lambda: vote(session, submission_key=key))
    with pytest.raises(VoteConflict):
        vote(session, "right")
    meanwhile(monkeypatch, lambda: vote(session, trial_id=second.pk))
    third = vote(session, trial_id=session.trials.get(position=3).pk)
    assert not third.is_replay
    meanwhile(monkeypatch, lambda: fault(session, next_trial(session)))
    with pytest.raises(VoteConflict):
        vote(session)
    session.refresh_from_db()
    assert session.answered_count == 3 == Vote.objects.count()
    assert Vote.objects.get(trial=first).submission_key == key


def test_the_same_vote_sent_twice_at_once_is_stored_once(monkeypatch) -> None:
    session = active(make_running(practice_trials=0))
    submission = {"trial_id": next_trial(session).pk, "submission_key": uuid.uuid4()}
    meanwhile(monkeypatch, lambda: vote(session, **submission))
    assert vote(session, **submission).is_replay
    assert Vote.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda session: session_withdraw(session_id=session.pk), SessionNotActive),
        (lambda session: session_take_tab(session_id=session.pk, tab="newer"), OtherTab),
    ],
    ids=["withdrawn", "another tab"],
)
def test_a_visit_that_ended_or_moved_after_it_was_read_takes_no_vote(change, error, monkeypatch) -> None:
    session = active(make_running(practice_trials=0))
    meanwhile(monkeypatch, lambda: change(session))
    with pytest.raises(error):
        vote(session)
    assert not Vote.objects.exists()
    assert not session.trials.filter(state=Trial.State.ANSWERED).exists()


def test_a_visit_that_was_taken_for_gone_after_it_was_read_is_back_with_the_vote(monkeypatch) -> None:
    session = active(make_running(practice_trials=0))
    expired = RaterSession.objects.filter(pk=session.pk)
    meanwhile(monkeypatch, lambda: expired.update(state=RaterSession.State.EXPIRED))
    vote(session)
    session.refresh_from_db()
    assert (session.state, session.answered_count) == (RaterSession.State.ACTIVE, 1)


def test_a_vote_extends_the_lease_once_a_quarter_of_it_is_used_up() -> None:
    session = active(make_running(practice_trials=0))
    soon = timezone.now() + timedelta(minutes=30)
    RaterSession.objects.filter(pk=session.pk).update(lease_expires_at=soon)
    session.slots.update(lease_expires_at=soon)
    vote(session)
    session.refresh_from_db()
    assert session.lease_expires_at > soon + timedelta(minutes=20)
    assert not session.slots.filter(is_answered=False, lease_expires_at__lte=soon).exists()


# --- several criteria


def test_together_one_submission_stores_an_answer_by_each_criterion() -> None:
    session = active(make_running(practice_trials=0, **TOGETHER))
    trial = next_trial(session)
    choices = {"overall": "right", "realism": "left", "detail": "tie"}
    answers = [Answer(criterion=key, choice=choice) for key, choice in choices.items()]
    outcome = vote(session, answers=answers, exposure_ms=850.0)
    stored = Vote.objects.filter(trial=trial, is_current=True)
    assert dict(stored.values_list("criterion", "choice")) == choices
    assert set(stored.values_list("submission_key", "exposure_ms")) == {(outcome.vote.submission_key, 850.0)}
    # The headline's vote speaks for the trial.
    assert (outcome.vote.criterion, outcome.vote.choice) == ("realism", "left")
    session.refresh_from_db()
    trial.refresh_from_db()
    assert (session.answered_count, trial.state) == (1, Trial.State.ANSWERED)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["realism"],
        ["realism", "detail"],
        ["realism", "detail", "overall", "beauty"],
        ["realism", "detail", "beauty"],
        ["realism", "detail", "detail"],
        ["realism", "detail", "overall", "overall"],
        [""],
    ],
)
def test_too_few_and_unknown_criteria_are_refused_and_leave_nothing(keys) -> None:
    session = active(make_running(practice_trials=0, **TOGETHER))
    with pytest.raises(AnswersMismatch, match="realism, detail, overall"):
        vote(session, answers=[Answer(criterion=key, choice="left") for key in keys])
    assert not Vote.objects.exists()
    vote(session)
    assert Vote.objects.count() == 3


def test_each_criterion_has_its_own_tie_rule() -> None:
    session = active(make_running(practice_trials=0, **TOGETHER))
    choices = {"realism": "tie", "detail": "left", "overall": "tie"}
    with pytest.raises(BadSubmission, match="criterion overall has no ties"):
        vote(session, answers=[Answer(criterion=key, choice=choice) for key, choice in choices.items()])
    assert not Vote.objects.exists()


def test_together_a_replay_and_another_answer_find_what_is_stored() -> None:
    session = active(make_running(practice_trials=0, **TOGETHER))
    key = uuid.uuid4()
    first = vote(session, submission_key=key)
    again = vote(session, trial_id=first.vote.trial_id, submission_key=key)
    assert again.is_replay
    assert again.vote == first.vote
    with pytest.raises(VoteConflict):
        vote(session, "right", trial_id=first.vote.trial_id)
    assert Vote.objects.count() == 3


def test_together_undo_takes_back_all_answers_of_a_trial() -> None:
    session = active(make_running(practice_trials=0, repeat_trials=0, **TOGETHER))
    trial = next_trial(session)
    key = uuid.uuid4()
    vote(session, submission_key=key)
    vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    assert not Vote.objects.filter(is_current=True).exists()
    assert next_trial(session) == trial
    # A replay of what was taken back changes nothing.
    assert vote(session, submission_key=key).is_replay
    with pytest.raises(NothingToUndo):
        vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    vote(session, "right")
    current = Vote.objects.filter(is_current=True)
    assert set(current.values_list("trial", "choice")) == {(trial.pk, "right")}
    assert current.count() == 3


def test_together_a_vote_takes_as_many_queries_as_with_one_criterion() -> None:
    counts = []
    for fields in ({}, TOGETHER):
        session = active(make_running(practice_trials=0, **fields))
        vote(session)
        submission = VoteSubmission(
            trial_id=next_trial(session).pk,
            submission_key=uuid.uuid4(),
            answers=answers_to(session.version, next_trial(session), "left"),
        )
        with CaptureQueriesContext(connection) as queries:
            vote_create(session_id=session.pk, tab=TAB, submission=submission)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_together_practice_is_judged_by_the_headline() -> None:
    session = active(make_running(practice_trials=1, **TOGETHER | {"headline_criterion": "detail"}))
    trial = next_trial(session)
    right, wrong = ("right", "left") if trial.degraded_side == "left" else ("left", "right")
    choices = {"realism": wrong, "detail": right, "overall": wrong}
    answers = [Answer(criterion=key, choice=choice) for key, choice in choices.items()]
    assert vote(session, answers=answers).is_correct is True


def test_in_blocks_a_trial_takes_the_answer_by_its_own_criterion() -> None:
    session = active(make_running(practice_trials=0, criteria=CRITERIA))
    trial = next_trial(session)
    other = next(entry["key"] for entry in CRITERIA if entry["key"] != trial.criterion)
    for answer in (Answer(choice="left"), Answer(criterion=other, choice="left")):
        with pytest.raises(AnswersMismatch, match=trial.criterion):
            vote(session, answers=[answer])
    assert vote(session).vote.criterion == trial.criterion
