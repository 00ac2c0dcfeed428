"""The rows that a vote reads and writes: on PostgreSQL in two round trips.

Votes are most of what the server does, and building these queries anew costs several times what running them does: so
they are written out. Reading takes no lock. Writing does, and happens only if the visit is still as it was read: its
row says when it was last heard of, and whatever changes a visit or its trials writes that down. PostgreSQL does it all
in one statement, a transaction by itself; SQLite, which has no way to go, in several.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.utils import timezone

from survey.exceptions import SessionUnknown
from survey.models import RaterSession, Slot, Trial, Vote
from survey.selectors.trial import AHEAD, NextTrial, next_trials_of, next_trials_query

__all__ = ["moment_of", "session_and_trials", "session_and_trials_unlocked", "vote_store"]

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


def _rows(sql: str, parameters: Sequence[Any], *, is_planned: bool = False) -> list[tuple[Any, ...]]:
    if is_planned and connection.vendor == "postgresql":
        return connection.rows_by_plan(sql, parameters)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _prepared(field: str, value: Any, model: type = Trial) -> Any:
    # The connection itself: each look through its proxy costs as much as preparing a value.
    return model._meta.get_field(field).get_db_prep_save(value, connections[DEFAULT_DB_ALIAS])


def moment_of(value: datetime | str | None) -> datetime | None:
    """Return a stored moment as what it is: SQLite has texts."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _columns(of: str = "") -> str:
    return ", ".join(of + RaterSession._meta.get_field(name).column for name in _VISIT_FIELDS)


def session_and_trials(session_id: uuid.UUID, trial_id: uuid.UUID) -> tuple[RaterSession, list[NextTrial]]:
    """Return a visit under lock, then its first open trials and the one named. Call inside a transaction.

    The trials are read after the lock is taken: on PostgreSQL each statement sees what was committed before it.

    Raises
    ------
    SessionUnknown
        If there is no such visit.
    """
    rows = _session_rows(session_id, lock=" FOR UPDATE" if connection.vendor == "postgresql" else "")
    if not rows:
        raise SessionUnknown
    return _session_of(rows[0]), next_trials_of(_rows(*_trials_query(session_id, trial_id)))


def session_and_trials_unlocked(
    session_id: uuid.UUID, trial_id: uuid.UUID
) -> tuple[RaterSession, list[NextTrial]] | None:
    """Return the same without a lock, for ``vote_store`` to compare; None if there is nothing.

    The visit is read before its trials, or with them: whoever changes these changes the visit as well, so that trials
    that are newer than the visit are found out.
    """
    trials, parameters = _trials_query(session_id, trial_id)
    if connection.vendor != "postgresql":
        rows = _session_rows(session_id)
        return (_session_of(rows[0]), next_trials_of(_rows(trials, parameters))) if rows else None
    rows = _rows(_with_session(trials), [*parameters, session_id], is_planned=True)
    if not rows or rows[0][len(_VISIT_FIELDS)] is None:
        return None
    return _session_of(rows[0]), next_trials_of(row[len(_VISIT_FIELDS) :] for row in rows)


def _trials_query(session_id: uuid.UUID, trial_id: uuid.UUID) -> Statement:
    return next_trials_query(session_id, including=trial_id, limit=AHEAD + 1)


def _session_rows(session_id: uuid.UUID, lock: str = "") -> list[tuple[Any, ...]]:
    query = f"SELECT {_columns()} FROM {RaterSession._meta.db_table} WHERE id = %s{lock}"
    return _rows(query, [_prepared("id", session_id)])


@lru_cache(maxsize=2)
def _with_session(trials: str) -> str:
    """Return the query of trials with their visit in front of each, its long record of the assignment once."""
    first = "row_number() OVER (ORDER BY t.position) = 1"
    columns = _columns("s.").replace("s.assignment", f"CASE WHEN {first} THEN s.assignment END")
    table = RaterSession._meta.db_table
    return f"SELECT {columns}, t.* FROM {table} s LEFT JOIN ({trials}) t ON TRUE WHERE s.id = %s ORDER BY t.position"


def _session_of(row: Sequence[Any]) -> RaterSession:
    values = dict(zip(_VISIT_FIELDS, row, strict=False))
    for name in ("id", "version_id"):
        values[name] = uuid.UUID(str(values[name]))
    values["assignment"] = json.loads(values["assignment"])
    for name in ("lease_expires_at", "last_seen_at", "answered_until"):
        values[name] = moment_of(values[name])
    return RaterSession.from_db(connection.alias, list(values), list(values.values()))


def vote_store(
    votes: Sequence[Vote], *, session: RaterSession, trial: NextTrial, next_trials: list[NextTrial], is_counted: bool
) -> bool:
    """Write a trial's votes (one a criterion), its slot, the trials that go out next, and the visit's sign of life.

    Return False, with nothing written, if the visit is no longer as it was read.

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
    heard_at, answered_until = (_prepared("issued_at", at) for at in (session.last_seen_at, session.answered_until))
    visit = [count, moment, answered_until, session_key, heard_at, session.answered_count, session.tab]
    slot = [trial.slot_id is not None, slot_id, session_key]
    trials = [moment, trial_key, trial_key, *issued, *[trial_key] * (AHEAD - len(issued))]
    stored = _written(visit, slot, trials, _values(votes, trial_key, moment), len(votes))
    if not stored:
        return False
    for vote, (key,) in zip(votes, stored, strict=True):
        vote.pk, vote.submitted_at = key, now
        vote._state.adding, vote._state.db = False, connection.alias
    session.answered_count, session.last_seen_at, session.state = count, now, RaterSession.State.ACTIVE
    return True


def _written(
    visit: list[Any], slot: list[Any], trials: list[Any], answers: list[Any], count: int
) -> list[tuple[Any, ...]]:
    """Run the writes of ``count`` votes; return the keys of these, or nothing if the visit has changed."""
    is_one = connection.vendor == "postgresql"
    writes = _writes(is_one, count)
    # On SQLite one writes at a time: all that can be prepared is ready before it is this one's turn.
    with _whole(is_one=is_one):
        if is_one:
            return _rows(_in_one(writes), [*visit, *slot, *trials, *answers], is_planned=True)
        if not _rows(f"{writes.visit} RETURNING id", visit):
            return []
        for sql, parameters in ((writes.slot, slot), (writes.trials, trials)):
            _rows(sql, parameters)
        return _rows(f"{writes.votes} {writes.answers} RETURNING id", answers)


def _whole(*, is_one: bool) -> AbstractContextManager[Any]:
    """Return what makes a vote's writes one: one statement is a transaction by itself."""
    return nullcontext() if is_one and not connection.in_atomic_block else transaction.atomic()


class _Writes(NamedTuple):
    visit: str
    slot: str
    trials: str
    votes: str
    answers: str


_VOTE_COLUMNS = {
    "trial_id": "uuid",
    "criterion": "text",
    "submission_key": "uuid",
    "choice": "text",
    "acceptable": "text",
    "strength": "smallint",
    "reasons": "text",
    "is_current": "boolean",
    "response_ms": "double precision",
    "exposure_ms": "double precision",
    "presentation": "jsonb",
    "submitted_at": "timestamptz",
}


@lru_cache(maxsize=16)
def _writes(is_typed: bool, count: int) -> _Writes:
    """Return the statements; with types where PostgreSQL could not tell those of parameters."""

    def of(kind: str) -> str:
        return f"%s::{kind}" if is_typed else "%s"

    active, expired = RaterSession.State.ACTIVE.value, RaterSession.State.EXPIRED.value
    answer = f"({', '.join(map(of, _VOTE_COLUMNS.values()))})"
    return _Writes(
        visit=f"UPDATE {RaterSession._meta.db_table} SET answered_count = {of('integer')}, "
        f"last_seen_at = {of('timestamptz')}, answered_until = {of('timestamptz')}, state = '{active}' "
        f"WHERE id = {of('uuid')} AND last_seen_at = {of('timestamptz')} AND answered_count = {of('integer')} "
        f"AND tab = {of('text')} AND step = 'trials' AND state IN ('{active}', '{expired}')",
        slot=f"UPDATE {Slot._meta.db_table} SET is_answered = (is_answered OR {of('boolean')}), turn = 1 - turn "
        f"WHERE id = {of('bigint')} AND session_id = {of('uuid')}",
        trials=f"UPDATE {Trial._meta.db_table} SET issued_at = COALESCE(issued_at, {of('timestamptz')}), "
        f"state = CASE WHEN id = {of('uuid')} THEN '{Trial.State.ANSWERED.value}' ELSE state END "
        f"WHERE id IN ({', '.join([of('uuid')] * (AHEAD + 1))})",
        votes=f"INSERT INTO {Vote._meta.db_table} ({', '.join(_VOTE_COLUMNS)})",
        answers=f"VALUES {', '.join([answer] * count)}",
    )


@lru_cache(maxsize=8)
def _in_one(writes: _Writes) -> str:
    """Return one statement whose other parts write nothing unless the visit's does."""
    is_same = "EXISTS (SELECT FROM visit)"
    return (
        f"WITH visit AS ({writes.visit} RETURNING id), slot AS ({writes.slot} AND {is_same}), "
        f"trials AS ({writes.trials} AND {is_same}) "
        f"{writes.votes} SELECT * FROM ({writes.answers}) AS answers WHERE {is_same} RETURNING id"
    )


def _values(votes: Sequence[Vote], trial_key: Any, moment: Any) -> list[Any]:
    """Return the votes' rows laid end to end; ``vote_store`` names the columns. Key and showing are those of all."""
    key = _prepared("id", votes[0].submission_key)
    presentation = _prepared("presentation", votes[0].presentation, Vote)
    found: list[Any] = []
    for vote in votes:
        found += [trial_key, vote.criterion, key, str(vote.choice), vote.acceptable, vote.strength, vote.reasons]
        found += [True, vote.response_ms, vote.exposure_ms, presentation, moment]
    return found
