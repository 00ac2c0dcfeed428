"""The rows that a vote reads and writes, in three round trips.

Votes are most of what the server does, and building these queries anew costs several times what running them does: so
they are written out. PostgreSQL takes several statements at once, SQLite has no way to go.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.utils import timezone

from survey.exceptions import SessionUnknown
from survey.models import RaterSession, Slot, Trial, Vote
from survey.selectors.trial import AHEAD, NextTrial, next_trials_of, next_trials_query

__all__ = ["moment_of", "session_and_trials", "vote_store"]

Statement = tuple[str, Sequence[Any]]

# All that a vote needs to know of its visit.
_NEEDED = {
    "id",
    "version_id",
    "state",
    "step",
    "tab",
    "trial_count",
    "answered_count",
    "assignment",
    "lease_expires_at",
    "last_seen_at",
    "answered_until",
    "is_simulated",
    "language",
}
# In the model's own order, as rows are made from it.
_VISIT_FIELDS = tuple(field.attname for field in RaterSession._meta.concrete_fields if field.attname in _NEEDED)


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _rows_of_last(*statements: Statement) -> list[tuple[Any, ...]]:
    """Run the statements in one round trip, where the database takes several; return the rows of the last."""
    if connection.vendor == "postgresql":
        return _rows("; ".join(sql for sql, _ in statements), [value for _, values in statements for value in values])
    with connection.cursor() as cursor:
        for sql, parameters in statements:
            cursor.execute(sql, parameters)
        return cursor.fetchall()


def _prepared(field: str, value: Any, model: type = Trial) -> Any:
    return model._meta.get_field(field).get_db_prep_save(value, connection)


def moment_of(value: datetime | str | None) -> datetime | None:
    """Return a stored moment as what it is: SQLite has texts."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


@lru_cache(maxsize=2)
def _session_query(vendor: str) -> str:
    columns = ", ".join(RaterSession._meta.get_field(name).column for name in _VISIT_FIELDS)
    lock = " FOR UPDATE" if vendor == "postgresql" else ""
    return f"SELECT {columns} FROM {RaterSession._meta.db_table} WHERE id = %s{lock}"


def session_and_trials(session_id: uuid.UUID, trial_id: uuid.UUID) -> tuple[RaterSession, list[NextTrial]]:
    """Return a visit under lock, then its first open trials and the one named. Call inside a transaction.

    The trials are read after the lock is taken: on PostgreSQL each statement sees what was committed before it.
    """
    rows = _rows(_session_query(connection.vendor), [_prepared("id", session_id)])
    if not rows:
        raise SessionUnknown
    trials = _rows(*next_trials_query(session_id, including=trial_id, limit=AHEAD + 1))
    values = dict(zip(_VISIT_FIELDS, rows[0], strict=True))
    values["id"], values["version_id"] = session_id, uuid.UUID(str(values["version_id"]))
    values["assignment"] = json.loads(values["assignment"])
    for name in ("lease_expires_at", "last_seen_at", "answered_until"):
        values[name] = moment_of(values[name])
    return RaterSession.from_db(connection.alias, list(values), list(values.values())), next_trials_of(trials)


def vote_store(
    votes: Sequence[Vote], *, session: RaterSession, trial: NextTrial, next_trials: list[NextTrial], is_counted: bool
) -> None:
    """Write a trial's votes (one a criterion), its slot, the trials that go out next, and the visit's sign of life.

    A check has no slot: it writes one of the visit's slots instead, which stays as answered as it was. ``turn``,
    which says nothing, turns round in both cases: it is indexed, as ``is_answered`` is, so that the indexes are written
    for either. Else checks would be answered measurably faster, and give themselves away by it.

    Raises
    ------
    IntegrityError
        If the submission key is used, or the trial has a current vote.
    """
    now = timezone.now()
    moment = _prepared("issued_at", now)
    session_key, trial_key = _prepared("id", session.pk), _prepared("id", trial.pk)
    slots = session.assignment.get("slots") or [0]
    slot_id = trial.slot_id or slots[trial.position % len(slots)]
    issued = [_prepared("id", row.pk) for row in next_trials if row.issued_at is None]
    count = session.answered_count + int(is_counted)
    active, values = RaterSession.State.ACTIVE, ", ".join(["%s"] * 12)
    stored = _rows_of_last(
        (
            f"UPDATE {Slot._meta.db_table} SET is_answered = (is_answered OR %s), turn = 1 - turn "
            "WHERE id = %s AND session_id = %s",
            [trial.slot_id is not None, slot_id, session_key],
        ),
        (
            f"UPDATE {Trial._meta.db_table} SET issued_at = COALESCE(issued_at, %s), "
            "state = CASE WHEN id = %s THEN %s ELSE state END "
            f"WHERE id IN ({', '.join(['%s'] * (len(issued) + 1))})",
            [moment, trial_key, Trial.State.ANSWERED.value, *issued, trial_key],
        ),
        (
            f"UPDATE {RaterSession._meta.db_table} SET answered_count = %s, last_seen_at = %s, "
            "answered_until = %s, state = %s WHERE id = %s",
            [count, moment, _prepared("issued_at", session.answered_until), active.value, session_key],
        ),
        (
            f"INSERT INTO {Vote._meta.db_table} (trial_id, criterion, submission_key, choice, acceptable, strength, "
            "reasons, is_current, response_ms, exposure_ms, presentation, submitted_at) VALUES "
            f"{', '.join([f'({values})'] * len(votes))} RETURNING id",
            _values(votes, trial_key, moment),
        ),
    )
    for vote, (key,) in zip(votes, stored, strict=True):
        vote.pk, vote.submitted_at = key, now
        vote._state.adding, vote._state.db = False, connection.alias
    session.answered_count, session.last_seen_at, session.state = count, now, active


def _values(votes: Sequence[Vote], trial_key: Any, moment: Any) -> list[Any]:
    """Return the votes' rows laid end to end; ``vote_store`` names the columns. Key and showing are those of all."""
    key = _prepared("id", votes[0].submission_key)
    presentation = _prepared("presentation", votes[0].presentation, Vote)
    found: list[Any] = []
    for vote in votes:
        found += [trial_key, vote.criterion, key, str(vote.choice), vote.acceptable, vote.strength, vote.reasons]
        found += [True, vote.response_ms, vote.exposure_ms, presentation, moment]
    return found
