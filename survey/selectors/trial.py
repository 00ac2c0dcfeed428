"""The trials that a browser may hold: the first open one and the few to load ahead."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from survey.criteria import Criterion
from survey.models import RaterSession, Trial
from survey.renditions import rendition_sizes
from survey.selectors.copies import least_px_of, served_name
from survey.selectors.texts import Pair, criteria_in, question_filled
from survey.selectors.version import frozen_config

__all__ = ["AHEAD", "NextTrial", "asked_facts", "next_trials", "next_trials_of", "next_trials_query", "trial_facts"]

# The one on screen and three to load ahead.
AHEAD = 4
# Stand for values in the compiled query; no row has such a key.
_ANY_SESSION, _ANY_TRIAL = uuid.UUID(int=1), uuid.UUID(int=2)


class NextTrial(NamedTuple):
    """A trial with what a page needs of it; ``left`` to ``right_degraded`` are copies of versions up to release 0.1."""

    pk: uuid.UUID
    position: int
    state: str
    issued_at: datetime | str | None
    check_kind: str
    degraded_side: str
    slot_id: int | None
    class_name: str
    prompt: str
    reference: uuid.UUID | str | None
    left: str
    right: str
    left_degraded: str
    right_degraded: str
    left_image: uuid.UUID | str
    right_image: uuid.UUID | str
    width: int
    height: int
    criterion: str


@lru_cache(maxsize=1024)
def _sizes(width: int, height: int, least_px: int | None) -> list[tuple[int, int]]:
    """Return the sizes of copies; a study has few shapes of images, and shows them all the time."""
    return rendition_sizes(width, height, least_px=least_px)


@lru_cache(maxsize=4)
def _compiled(vendor: str, limit: int) -> tuple[str, tuple[Any, ...]]:
    """Return the query and its parameters. Building it costs ten times what running it does, so it is built once.

    The few that are wanted are chosen before their images are joined: a planner that knows little of the table would
    join those of all open trials of the visit, and keep a few.
    """
    # The open ones and the one named, so that a replay of an answered trial is found as well.
    first = Trial.objects.filter(session=_ANY_SESSION, state=Trial.State.OPEN).order_by("position").values("pk")
    rows = (
        Trial.objects.filter(Q(pk__in=first[:limit]) | Q(pk=_ANY_TRIAL), session=_ANY_SESSION)
        .order_by("position")
        .values_list(
            "pk",
            "position",
            "state",
            "issued_at",
            "check_kind",
            "degraded_side",
            "slot_id",
            "pair__class_name",
            "pair__prompt",
            "pair__reference",
            "image_left__served",
            "image_right__served",
            "image_left__degraded",
            "image_right__degraded",
            "image_left_id",
            "image_right_id",
            "image_left__width",
            "image_left__height",
            "criterion",
        )
    )
    return rows[:limit].query.sql_with_params()


def _prepared(key: uuid.UUID) -> Any:
    return Trial._meta.pk.get_db_prep_value(key, connection)


def next_trials_query(
    session_id: uuid.UUID, *, including: uuid.UUID = _ANY_TRIAL, limit: int = AHEAD
) -> tuple[str, list[Any]]:
    """Return the query of ``next_trials`` and its parameters, to be run along with others."""
    sql, parameters = _compiled(connection.vendor, limit)
    # The stand-ins are exchanged for the real keys; everything else of the query stays compiled.
    values = {_prepared(_ANY_SESSION): _prepared(session_id), _prepared(_ANY_TRIAL): _prepared(including)}
    return sql, [values.get(value, value) for value in parameters]


def next_trials_of(rows: Iterable[tuple[Any, ...]]) -> list[NextTrial]:
    """Return the trials of that query's rows."""
    return [NextTrial(key if isinstance(key, uuid.UUID) else uuid.UUID(key), *rest) for key, *rest in rows]


def next_trials(session: RaterSession, *, including: uuid.UUID = _ANY_TRIAL, limit: int = AHEAD) -> list[NextTrial]:
    """Return the first open trials in order, and one more by its key, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(*next_trials_query(session.pk, including=including, limit=limit))
        return next_trials_of(cursor.fetchall())


def trial_facts(trial: NextTrial, session: RaterSession) -> dict[str, Any]:
    """Return what a page is told of a trial, its images' names still to be sealed. Of every kind the same.

    ``sizes`` are those of the copies, the original's first: the page asks for the one that its box has room for.
    """
    config = frozen_config(session.version_id)
    practice, asked = session.assignment.get("practice", 0), _asked(trial, session)
    is_practice = trial.position <= practice
    sides = {
        side: served_name(config, image, stored=spoilt if is_spoilt else stored, is_spoilt=is_spoilt)
        for side, image, stored, spoilt in (
            ("left", trial.left_image, trial.left, trial.left_degraded),
            ("right", trial.right_image, trial.right, trial.right_degraded),
        )
        for is_spoilt in (trial.degraded_side == side,)
    }
    facts = {
        "id": trial.pk,
        "number": trial.position if is_practice else trial.position - practice,
        "practice": is_practice,
        "question": question_filled(asked[0].question, trial),
        "sizes": _sizes(trial.width, trial.height, least_px_of(config)),
        **sides,
    }
    facts |= _beside(trial, config)
    return facts | _several(trial, session, asked)


def _beside(trial: NextTrial, config: dict[str, Any]) -> dict[str, Any]:
    """Return the prompt and the reference of a trial's pair, where the version shows such."""
    beside: dict[str, Any] = {}
    if config["trial"].get("are_prompts_shown"):
        beside["prompt"] = trial.prompt
    if config["trial"].get("reference_place"):
        beside["reference"] = served_name(config, trial.reference, stored="") if trial.reference else ""
    return beside


@lru_cache(maxsize=256)
def _frozen_criteria(version_id: uuid.UUID, language: str) -> dict[str, Criterion]:
    """Return what a version asks in a language, by key; it never changes. Treat it as read-only."""
    return {criterion.key: criterion for criterion in criteria_in(frozen_config(version_id), language)}


def _asked(trial: NextTrial, session: RaterSession) -> list[Criterion]:
    """Return the criteria that a trial asks, in the visit's order."""
    criteria = _frozen_criteria(session.version_id, session.language)
    order = session.assignment.get("criteria", [""])
    return [criteria[key] for key in ([trial.criterion] if trial.criterion else order)]


def _several(trial: NextTrial, session: RaterSession, asked: list[Criterion]) -> dict[str, Any]:
    """Return what a page is told where a study asks several criteria: those of the trial, and which block it is in."""
    order = session.assignment.get("criteria")
    if order is None:
        return {}
    block = order.index(trial.criterion) + 1 if trial.criterion else 0
    return asked_facts(asked, block=block, pair=trial)


def asked_facts(asked: Sequence[Criterion], *, block: int, pair: Pair) -> dict[str, Any]:
    """Return what a page of several criteria is told of a trial's: which block it is in, 0 where all come together."""
    questions = [{"key": one.key, "question": question_filled(one.question, pair)} for one in asked]
    return {"block": block, "criteria": questions}
