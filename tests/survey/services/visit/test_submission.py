"""What a browser may submit beyond the choice: stored whole, or refused with nothing stored."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from survey.exceptions import AnswersMismatch
from survey.models import Vote
from survey.services.visit.submission import Answer
from survey.services.visit.vote import vote_undo
from tests.beyond import ASKED, LEFT, TIE
from tests.factories import CRITERIA, make_running
from tests.visits import TAB, active, next_trial, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def session():
    return active(make_running(practice_trials=0, **ASKED))


def test_an_answer_is_stored_with_all_that_it_says(session) -> None:
    vote(session, answers=[Answer(**LEFT)])
    vote(session, answers=[Answer(**TIE)])
    rows = list(Vote.objects.order_by("pk").values_list("choice", "acceptable", "strength", "reasons"))
    assert rows == [("left", "both", 2, "anatomy|colour"), ("tie", "neither", None, "")]


@pytest.mark.parametrize(
    "said", [{"choice": "left"}, LEFT | {"strength": 9}, LEFT | {"reasons": ["mood"]}, TIE | {"strength": 1}]
)
def test_a_bad_value_is_refused_and_nothing_is_stored(session, said: dict[str, Any]) -> None:
    with pytest.raises(AnswersMismatch):
        vote(session, answers=[Answer(**said)])
    session.refresh_from_db()
    assert not Vote.objects.exists()
    assert session.answered_count == 0


def test_an_ordinary_study_takes_no_more_than_a_choice() -> None:
    plain = active(make_running(practice_trials=0))
    with pytest.raises(AnswersMismatch, match="does not ask"):
        vote(plain, answers=[Answer(**LEFT)])
    vote(plain)
    assert Vote.objects.values_list("acceptable", "strength", "reasons").get() == ("", None, "")


def test_undo_and_a_replay_keep_what_was_said(session) -> None:
    key = uuid.uuid4()
    first = vote(session, answers=[Answer(**LEFT)], submission_key=key)
    again = vote(session, answers=[Answer(**TIE)], submission_key=key, trial_id=first.vote.trial_id)
    assert again.is_replay
    assert again.vote.strength == 2
    vote_undo(session_id=session.pk, tab=TAB, submission_key=uuid.uuid4())
    vote(session, answers=[Answer(**TIE)])
    current = Vote.objects.get(is_current=True)
    assert (current.choice, current.acceptable, current.strength) == ("tie", "neither", None)


def test_the_database_refuses_a_grade_beside_a_tie(session) -> None:
    vote(session, answers=[Answer(**TIE)])
    with pytest.raises(IntegrityError), transaction.atomic():
        Vote.objects.update(strength=1)


def test_each_block_of_criteria_has_its_own_answers() -> None:
    asked = active(make_running(practice_trials=0, criteria=CRITERIA, criteria_design="blocks", **ASKED))
    criterion = next_trial(asked).criterion
    vote(asked, answers=[Answer(**LEFT, criterion=criterion)])
    assert Vote.objects.values_list("criterion", "strength").get() == (criterion, 2)
