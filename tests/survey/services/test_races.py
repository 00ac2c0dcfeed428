"""Races, with the lock held on purpose: whoever waited must see what the other one did."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet

from survey.exceptions import OtherTab, SessionNotActive, VoteConflict
from survey.models import RaterSession, Slot, Vote
from survey.services.assignment import slots as slot
from survey.services.assignment.draw import Candidate
from survey.services.assignment.slots import slots_claim
from survey.services.visit.session import session_locked, session_start, session_take_tab, session_withdraw
from survey.services.visit.submission import Answer, VoteSubmission
from survey.services.visit.vote import vote_create
from tests.factories import CRITERIA, answers_to, make_running
from tests.visits import TAB, active, begin, next_trial

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one write lock and no row locks to hold"),
]


def in_thread(pool: ThreadPoolExecutor, work: Callable) -> Future:
    def run():
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


# What a study asks: one question, or several criteria below each pair.
ASKED = [{}, {"criteria": CRITERIA, "criteria_design": "together"}]


def waits(future: Future, seconds: float = 0.4) -> bool:
    """Return True when the work does not end by itself within a time that is ample for it."""
    time.sleep(seconds)
    return not future.done()


@pytest.mark.parametrize("fields", ASKED, ids=["one question", "three criteria"])
def test_a_vote_that_waited_for_another_is_refused_as_a_conflict(fields) -> None:
    session = active(make_running(practice_trials=0, **fields))
    trial = next_trial(session)
    submissions = [
        VoteSubmission(
            trial_id=trial.pk, submission_key=uuid.uuid4(), answers=answers_to(session.version, trial, choice)
        )
        for choice in ("left", "right")
    ]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            session_locked(session.pk)
            late = in_thread(pool, lambda: vote_create(session_id=session.pk, tab=TAB, submission=submissions[1]))
            assert waits(late)
            vote_create(session_id=session.pk, tab=TAB, submission=submissions[0])
        with pytest.raises(VoteConflict):
            late.result(timeout=10)
    assert set(Vote.objects.values_list("choice", flat=True)) == {"left"}
    assert Vote.objects.count() == max(1, len(fields.get("criteria", ())))


def test_a_vote_that_waited_for_a_withdrawal_is_refused() -> None:
    session = active(make_running(practice_trials=0))
    submission = VoteSubmission(
        trial_id=next_trial(session).pk, submission_key=uuid.uuid4(), answers=[Answer(choice="left")]
    )
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            session_locked(session.pk)
            late = in_thread(pool, lambda: vote_create(session_id=session.pk, tab=TAB, submission=submission))
            assert waits(late)
            session_withdraw(session_id=session.pk)
        with pytest.raises(SessionNotActive):
            late.result(timeout=10)
    assert not Vote.objects.exists()


def test_a_vote_that_waited_for_a_newer_tab_is_refused() -> None:
    session = active(make_running(practice_trials=0))
    submission = VoteSubmission(
        trial_id=next_trial(session).pk, submission_key=uuid.uuid4(), answers=[Answer(choice="left")]
    )
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            session_locked(session.pk)
            late = in_thread(pool, lambda: vote_create(session_id=session.pk, tab=TAB, submission=submission))
            assert waits(late)
            session_take_tab(session_id=session.pk, tab="newer")
        with pytest.raises(OtherTab):
            late.result(timeout=10)


@pytest.mark.parametrize("fields", ASKED, ids=["one question", "three criteria"])
def test_one_submission_sent_many_times_at_once_is_stored_once(fields) -> None:
    session = active(make_running(practice_trials=0, **fields))
    trial = next_trial(session)
    submission = VoteSubmission(
        trial_id=trial.pk, submission_key=uuid.uuid4(), answers=answers_to(session.version, trial, "left")
    )
    barrier = threading.Barrier(8)

    def submit():
        barrier.wait()
        return vote_create(session_id=session.pk, tab=TAB, submission=submission)

    with ThreadPoolExecutor(8) as pool:
        outcomes = [future.result(timeout=20) for future in [in_thread(pool, submit) for _ in range(8)]]
    assert sum(not outcome.is_replay for outcome in outcomes) == 1
    assert len({outcome.vote.pk for outcome in outcomes}) == 1
    assert Vote.objects.count() == max(1, len(fields.get("criteria", ())))
    assert RaterSession.objects.get().answered_count == 1


def test_claims_pass_over_rows_that_another_one_holds() -> None:
    version = make_running(pairs=12, votes_per_pair=1, trials_per_session=3)
    one, other = (session_start(study=version.study) for _ in range(2))
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        held = list(Slot.objects.select_for_update().order_by("index", "draw")[:6])
        Slot.objects.filter(pk__in=[slot.pk for slot in held]).update(session=one)
        free = in_thread(pool, lambda: slots_claim(session=other, wanted=3))
        claimed = free.result(timeout=10)  # without waiting for the rows
    assert len(claimed) == 3
    assert not {slot.slot_id for slot in claimed} & {slot.pk for slot in held}


def test_the_last_places_go_to_whoever_waits_when_the_holder_leaves_them() -> None:
    version = make_running(pairs=6, votes_per_pair=1, trials_per_session=6)
    one, other = (session_start(study=version.study) for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            held = list(Slot.objects.select_for_update().order_by("pk"))
            late = in_thread(pool, lambda: slots_claim(session=other, wanted=6))
            assert waits(late)  # it found nothing free at first and looks again, in turn
            Slot.objects.filter(pk__in=[slot.pk for slot in held[:4]]).update(
                session=one, lease_expires_at="2100-01-01T00:00Z"
            )
        assert {slot.slot_id for slot in late.result(timeout=10)} == {slot.pk for slot in held[4:]}


def test_many_visits_that_begin_at_once_share_the_places_without_overlap() -> None:
    # Every visit takes each pair once, so that whatever the order of the claims, all slots fit.
    version = make_running(pairs=6, votes_per_pair=8, trials_per_session=6)
    with ThreadPoolExecutor(8) as pool:
        sessions = [future.result(timeout=60) for future in [in_thread(pool, lambda: begin(version)) for _ in range(8)]]
    held = Slot.objects.filter(version=version, session__isnull=False)
    assert held.count() == 48 == version.slots.count()
    for session in sessions:
        assert session.slots.count() == 6
        assert session.slots.values("pair").distinct().count() == 6


def test_visits_that_divide_the_last_places_do_not_wait_for_each_other(monkeypatch) -> None:
    version = make_running(pairs=6, votes_per_pair=1, trials_per_session=6)
    sessions = [session_start(study=version.study) for _ in range(2)]
    honest, both, seen = slot._candidates, threading.Barrier(2), set()

    def half(rows: QuerySet[Slot], wanted: int) -> tuple[list[Candidate], bool]:
        if threading.get_ident() in seen:
            return honest(rows, wanted)
        seen.add(threading.get_ident())
        held = [slot.candidate_of(row) for row in rows[:3]]
        both.wait(timeout=30)  # each has locked what the other one is about to want
        return held, False

    def claim(session: RaterSession) -> list[Candidate]:
        with transaction.atomic():
            return slots_claim(session=session, wanted=6)

    monkeypatch.setattr(slot, "_candidates", half)
    with ThreadPoolExecutor(2) as pool:
        claims = [in_thread(pool, lambda session=session: claim(session)) for session in sessions]
        assert sorted(len(claimed.result(timeout=60)) for claimed in claims) == [0, 6]
