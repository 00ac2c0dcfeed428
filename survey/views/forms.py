"""The forms of a visit: each moves it on, and leads back to its address."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from survey.exceptions import ExitAnswersRefused, SessionNotActive
from survey.models import RaterSession
from survey.selectors.version import frozen_config
from survey.services.visit.device import Device, engine_of
from survey.services.visit.session import (
    session_answer_questions,
    session_begin,
    session_check_device,
    session_consent,
    session_leave_for_room,
    session_resume,
    session_retry_device,
    session_withdraw,
)
from survey.tokens import session_token
from survey.views.exit_questions import ANSWER_FIELD, questions_context
from survey.views.page import rater_page, to_visit, visit_form, visit_page

__all__ = ["begin", "consent", "device", "finish", "questions", "withdraw"]


@visit_form
def consent(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_consent(session_id=session.pk, consent_sha256=request.POST.get("consent_sha256", ""))
    return to_visit(session.pk)


def _reading(request: HttpRequest, name: str, default: float) -> float:
    try:
        value = float(request.POST.get(name, default))
    except ValueError:
        return default
    return value if abs(value) < 1e6 else default


# What static/survey/js/facts.js says beside the window's size; docs/browsers.md explains each.
_FACTS = (
    "screen",
    "gamut",
    "colour_depth",
    "frame_ms",
    "clock_ms",
    "reduced_motion",
    "forced_dark",
    "forced_colors",
    "framed",
)


@visit_form
def device(request: HttpRequest, session: RaterSession) -> HttpResponse:
    if request.POST.get("again"):
        session_retry_device(session_id=session.pk)
        return to_visit(session.pk)
    agent = request.headers.get("User-Agent", "")[:300]
    seen = Device(
        width=int(_reading(request, "width", 0)),
        height=int(_reading(request, "height", 0)),
        pixel_ratio=_reading(request, "pixel_ratio", 1.0),
        is_touch=request.POST.get("is_touch") == "true",
        extra={name: request.POST.get(name, "")[:100] for name in _FACTS}
        | {"agent": agent, "engine": engine_of(agent)},
    )
    check = session_leave_for_room if session.step == "consent" else session_check_device
    check(session_id=session.pk, device=seen)
    return to_visit(session.pk)


@visit_form
def begin(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_begin(session_id=session.pk)
    return to_visit(session.pk)


@visit_form
def finish(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_resume(session_id=session.pk)
    return to_visit(session.pk)


@visit_form
def questions(request: HttpRequest, session: RaterSession) -> HttpResponse:
    given = {name.removeprefix(ANSWER_FIELD): texts for name, texts in request.POST.lists()}
    try:
        session_answer_questions(session_id=session.pk, answers=given)
    except ExitAnswersRefused as error:
        # The page again, with what was typed: a rater must not lose a paragraph to one number.
        config = frozen_config(session.version_id)
        context = {"session": session, "token": session_token(session.pk)}
        context |= questions_context(config, given=given, problems=error.problems)
        return rater_page(request, "questions", config, context, status=400)
    return to_visit(session.pk)


@visit_page
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, session: RaterSession) -> HttpResponse:
    if request.method == "POST":
        session_withdraw(session_id=session.pk)
        return to_visit(session.pk)
    if session.step == "done":
        raise SessionNotActive
    context = {"session": session, "token": session_token(session.pk)}
    return rater_page(request, "withdraw", frozen_config(session.version_id), context)
