"""What a vote writes: prepared first, and then at once."""

from __future__ import annotations

import pytest
from django.db import connection

from survey.models import Vote
from survey.services.visit import vote as services
from survey.services.visit import vote_rows
from tests.factories import make_running
from tests.visits import active, vote

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_vote_is_prepared_before_it_takes_its_turn_to_write(monkeypatch) -> None:
    """On SQLite one writes at a time: what is made during a turn, all others wait for."""
    session = active(make_running(practice_trials=0))
    held = {}
    for module, name in ((services, "answers_check"), (vote_rows, "_values"), (vote_rows, "_rows")):
        real = getattr(module, name)

        def watched(*given, real=real, name=name, **named):
            held.setdefault(name, set()).add(connection.in_atomic_block)
            return real(*given, **named)

        monkeypatch.setattr(module, name, watched)
    vote(session)
    assert Vote.objects.count() == 1
    assert held["answers_check"] == held["_values"] == {False}
    # Its four statements are one transaction; PostgreSQL has them in one.
    assert (True in held["_rows"]) == (connection.vendor == "sqlite")


@pytest.mark.parametrize("lost", ["slot", "trials", "votes"])
def test_a_write_that_fails_halfway_leaves_nothing_behind(monkeypatch, lost: str) -> None:
    session = active(make_running(practice_trials=0))
    writes = vote_rows._writes

    def broken(is_typed: bool, count: int):
        whole = writes(is_typed, count)
        return whole._replace(**{lost: getattr(whole, lost).replace("survey_", "missing_", 1)})

    monkeypatch.setattr(vote_rows, "_writes", broken)
    with pytest.raises(Exception, match="missing_"):
        vote(session)
    session.refresh_from_db()
    assert (session.answered_count, Vote.objects.count()) == (0, 0)
    assert not session.trials.exclude(state="open").exists()
