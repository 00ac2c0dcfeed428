"""What the rater's page talks to: plain JSON, no cookie, one round trip a vote. The secret in the path is the login."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from survey.api.errors import error_response
from survey.exceptions import AnswersMismatch, BadSubmission, SurveyError
from survey.links import trial_links
from survey.models import RaterSession
from survey.selectors.trial import AHEAD, NextTrial, next_trials
from survey.services.blinding.timing import response_jitter
from survey.services.visit.event import events_record
from survey.services.visit.session import session_take_tab
from survey.services.visit.submission import Answer, VoteSubmission
from survey.services.visit.trial import FAULT_KINDS, trial_fault
from survey.services.visit.vote import trials_issue, vote_create, vote_undo
from survey.tokens import session_id_of

__all__ = ["events", "fault", "undo", "vote", "window", "window_of"]

# A hundred events are some 10 kB.
_MOST_BYTES = 64 * 1024
_MOST_BYTES_READ = 8 * 1024 * 1024
Endpoint = Callable[[uuid.UUID, dict[str, Any]], dict[str, Any]]


def _endpoint(function: Endpoint) -> Callable[[HttpRequest, str], HttpResponse]:
    """Make a view of a function from session and JSON object to JSON object."""

    @csrf_exempt
    @require_POST
    @functools.wraps(function)
    def view(request: HttpRequest, token: str) -> HttpResponse:
        try:
            response = JsonResponse(function(session_id_of(token), _body(request)))
        except SurveyError as error:
            response = error_response(error)
        # An answer holds sealed addresses of this visit: no cache may keep it.
        response.headers["Cache-Control"] = "no-store"
        # Without a length the server would send the answer in chunks.
        response.headers["Content-Length"] = str(len(response.content))
        return response

    # For the middleware: raters' calls neither read nor set a cookie.
    view.is_cookie_free = True
    return view


def _body(request: HttpRequest) -> dict[str, Any]:
    if int(request.META.get("CONTENT_LENGTH") or 0) > _MOST_BYTES:
        _let_pass(request)
        raise BadSubmission(f"the body is longer than {_MOST_BYTES} bytes")
    try:
        body = json.loads(request.body)
        # Written once more: NaN and lone surrogates pass the parser and fail in the database.
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError):
        raise BadSubmission("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadSubmission("the body is not a JSON object")
    # PostgreSQL stores no NUL in text or JSON.
    if "\\u0000" in text:
        raise BadSubmission("the body holds a NUL character")
    return body


def _let_pass(request: HttpRequest) -> None:
    """Read a body that is too long, in pieces: a proxy that is still sending when we answer reports a 502 instead."""
    for _ in range(_MOST_BYTES_READ // _MOST_BYTES):
        if not request.read(_MOST_BYTES):
            return


def _text(body: dict[str, Any], name: str, *, longest: int = 300) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise BadSubmission(f"{name} is missing or is not a text of 1 to {longest} characters")
    return value


def _key(body: dict[str, Any], name: str) -> uuid.UUID:
    try:
        return uuid.UUID(_text(body, name, longest=36))
    except ValueError:
        raise BadSubmission(f"{name} is not a UUID") from None


def _number(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    # In Python True is a number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSubmission(f"{name} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise BadSubmission(f"{name} is too large") from None


def _answers(body: dict[str, Any]) -> list[Answer]:
    """Return the answers of a trial; a page of a study that asks one question may send its ``choice`` alone."""
    items = body.get("answers")
    if items is None:
        return [Answer(choice=_text(body, "choice", longest=5))]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadSubmission("answers is not a list of objects")
    return [_answer(item) for item in items]


def _answer(item: dict[str, Any]) -> Answer:
    criterion = item.get("criterion", "")
    if not isinstance(criterion, str):
        raise BadSubmission("criterion is not a text")
    return Answer(
        criterion=criterion,
        choice=_text(item, "choice", longest=5),
        acceptable=_name(item),
        strength=_grade(item),
        reasons=_keys(item, "reasons"),
    )


def _name(item: dict[str, Any]) -> str | None:
    value = item.get("acceptable")
    if value is not None and not isinstance(value, str):
        raise AnswersMismatch("acceptable is not a text")
    return value


def _grade(item: dict[str, Any]) -> int | None:
    value = item.get("strength")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise AnswersMismatch("strength is not a whole number")
    return value


def _keys(item: dict[str, Any], name: str) -> list[str] | None:
    values = item.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise AnswersMismatch(f"{name} is not a list of texts")
    return values


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict) or len(json.dumps(value)) > 2000:
        raise BadSubmission(f"{name} is not an object of at most 2000 characters")
    return value


def window_of(session: RaterSession, trials: list[NextTrial]) -> dict[str, Any]:
    """Return what the page may know: the present trial, those to load ahead, and how far the visit is."""
    return {
        "trials": [trial_links(trial, session) for trial in trials[:AHEAD]],
        "done": session.answered_count,
        "total": session.trial_count,
    }


@_endpoint
def window(session_id: uuid.UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Open the trials in a tab, which becomes the one that may vote."""
    session = session_take_tab(session_id=session_id, tab=_text(body, "tab", longest=40))
    trials = next_trials(session)
    # Before they leave the server: an answer counts for issued trials alone.
    trials_issue(trials)
    return window_of(session, trials)


@_endpoint
def vote(session_id: uuid.UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Store a vote; the answer holds what the page needs next."""
    submission = VoteSubmission(
        trial_id=_key(body, "trial"),
        submission_key=_key(body, "key"),
        answers=_answers(body),
        response_ms=_number(body, "response_ms"),
        exposure_ms=_number(body, "exposure_ms"),
        presentation=_object(body, "presentation"),
    )
    outcome = vote_create(session_id=session_id, tab=_text(body, "tab", longest=40), submission=submission)
    # After the commit: the wait must not hold the visit's lock.
    response_jitter()
    answer = window_of(outcome.session, outcome.next_trials)
    answer["stored"] = {"trial": outcome.vote.trial_id, "choice": outcome.vote.choice, "replay": outcome.is_replay}
    # Practice alone tells how it went: a check that did would show that it is one.
    if outcome.is_correct is not None:
        answer["correct"] = outcome.is_correct
    return answer


@_endpoint
def undo(session_id: uuid.UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Take back the last vote."""
    outcome = vote_undo(session_id=session_id, tab=_text(body, "tab", longest=40), submission_key=_key(body, "key"))
    return window_of(outcome.session, outcome.next_trials) | {"reopened": outcome.vote.trial_id}


@_endpoint
def fault(session_id: uuid.UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Set aside a trial that cannot be shown."""
    kind = _text(body, "kind", longest=20)
    if kind not in FAULT_KINDS:
        raise BadSubmission(f"kind is {kind!r}; it must be one of {', '.join(FAULT_KINDS)}")
    session = trial_fault(
        session_id=session_id,
        tab=_text(body, "tab", longest=40),
        trial_id=_key(body, "trial"),
        kind=kind,
        detail=str(body.get("detail", ""))[:300],
    )
    trials = next_trials(session)
    trials_issue(trials)
    return window_of(session, trials)


@_endpoint
def events(session_id: uuid.UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Add what happened around the trials."""
    items = body.get("events")
    # The page sends them in smaller parcels; more at once is no page of ours.
    if not isinstance(items, list) or len(items) > 100:
        raise BadSubmission("events is not a list of at most 100")
    pairs = []
    for item in items:
        if not isinstance(item, dict):
            raise BadSubmission("an event is not an object")
        pairs.append((_text(item, "kind", longest=20), _object(item, "detail")))
    return {"kept": events_record(session_id=session_id, events=pairs)}
