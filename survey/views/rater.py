"""The pages of a visit. The session's step says which page its address shows; forms move it on."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from survey.api.errors import error_status
from survey.exceptions import SessionNotActive, StudyNotOpen, StudyUnknown, SurveyError
from survey.models import RaterSession, Study
from survey.recruitment import provider_of
from survey.selectors.version import frozen_config, frozen_consent_sha256, frozen_frame, version_current
from survey.selectors.visit import example_images, session_get
from survey.services.study.study import study_get
from survey.services.visit.arrival import arrival_of
from survey.services.visit.device import CONTROLS_PX, GUTTER_PX, SIDE_PX, Device, layout_of
from survey.services.visit.session import (
    REHEARSAL_SALT,
    session_answer_questions,
    session_begin,
    session_check_device,
    session_consent,
    session_resume,
    session_retry_device,
    session_set_language,
    session_start,
    session_withdraw,
)
from survey.tokens import image_token, session_id_of, session_token
from survey.views.texts import trial_texts

__all__ = [
    "begin",
    "consent",
    "device",
    "finish",
    "landing",
    "questions",
    "start",
    "visit",
    "withdraw",
]

OPEN_STATES = {Study.State.RUNNING, Study.State.PILOTING}
Page = Callable[..., HttpResponse]


def _query(request: HttpRequest) -> str:
    """Return what else the address says: a panel's ids stay in it when the language changes."""
    query = request.GET.copy()
    query.pop("lang", None)
    return f"{query.urlencode()}&" if query else ""


def _language(request: HttpRequest, stored: str = "") -> str:
    known = dict(settings.LANGUAGES)
    asked = request.GET.get("lang") or request.POST.get("language", "")
    return asked if asked in known else stored if stored in known else request.LANGUAGE_CODE


def _page(
    request: HttpRequest, template: str, config: dict[str, Any] | None, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    shared = {
        "texts": config["texts"] if config else {},
        "title": config["study"]["title"] if config else "",
        # The answer to a form has no address to be asked for again, in whatever language.
        "languages": settings.LANGUAGES if request.method == "GET" else (),
        "query": _query(request),
    }
    response = render(request, f"survey/rater/{template}.html", shared | context, status=status)
    patch_cache_control(response, private=True, no_store=True)
    recruitment = (config or {}).get("recruitment", {})
    response.csp_replace = {}
    if ancestors := recruitment.get("frame_ancestors"):
        response.csp_replace["frame-ancestors"] = list(ancestors)
        response.xframe_options_exempt = True
    if targets := recruitment.get("form_action"):
        response.csp_replace["form-action"] = ["'self'", *targets]
    return response


def _visit_page(function: Page) -> Page:
    """Give the page the session of its address, in the rater's language; turn errors of the rules into a page."""

    @csrf_exempt  # the secret in the path is the login: no cookie is ever sent along
    @functools.wraps(function)
    def page(request: HttpRequest, token: str) -> HttpResponse:
        try:
            session = session_get(session_id_of(token))
        except SurveyError as error:
            return _error_page(request, error)
        language = _language(request, session.language)
        if language != session.language:
            session_set_language(session_id=session.pk, language=language)
        with translation.override(language):
            try:
                return function(request, session)
            except SurveyError as error:
                config = frozen_config(session.version_id)
                return _error_page(request, error, config, language=language, visit=token)

    return page


def _visit_form(function: Page) -> Page:
    """Take what a page of the visit sends. Whoever asks for its address sees where the visit stands."""

    @functools.wraps(function)
    def form(request: HttpRequest, session: RaterSession) -> HttpResponse:
        return function(request, session) if request.method == "POST" else _to_visit(session.pk)

    return _visit_page(form)


def _error_page(
    request: HttpRequest,
    error: SurveyError,
    config: dict[str, Any] | None = None,
    *,
    language: str = "",
    visit: str = "",
) -> HttpResponse:
    with translation.override(language or _language(request)):
        context = {"text": _(str(error)), "visit": visit}
        return _page(request, "message", config, context, status=error_status(error))


def _to_visit(session_id: uuid.UUID) -> HttpResponseRedirect:
    response = HttpResponseRedirect(reverse("survey:visit", args=[session_token(session_id)]), status=303)
    patch_cache_control(response, private=True, no_store=True)
    return response


def _is_rehearsal(request: HttpRequest, slug: str) -> bool:
    """Return True when the address carries the ticket of a rehearsal of this study."""
    ticket = request.GET.get("ticket")
    if not ticket:
        return False
    try:
        if signing.loads(ticket, salt=REHEARSAL_SALT, max_age=86_400) == slug:
            return True
    except signing.BadSignature:
        pass
    raise StudyNotOpen("The rehearsal's ticket is not valid (any more); start the rehearsal again.")


@require_GET
def landing(request: HttpRequest, slug: str) -> HttpResponse:
    """Say what the study is, before anything is stored."""
    try:
        study = study_get(slug)
        version = version_current(study)
        if version is None or study.state == Study.State.DRAFT:
            raise StudyUnknown(_("There is no study at this address. Check the link that you were given."))
        config = frozen_config(version.pk)
        if study.state not in OPEN_STATES and not _is_rehearsal(request, slug):
            raise StudyNotOpen
    except StudyNotOpen as error:
        return _error_page(request, error, config)
    except StudyUnknown:
        error = StudyUnknown("There is no study at this address. Check the link that you were given.")
        return _error_page(request, error)
    query, language = _query(request), _language(request)
    with translation.override(language):
        context = {
            "action": reverse("survey:start", args=[slug]) + (f"?{query.removesuffix('&')}" if query else ""),
            "language": language,
        }
        return _page(request, "landing", config, context)


@csrf_exempt
@require_http_methods(["GET", "POST"])
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Open a visit, and go to the address at which it can be continued from any device."""
    if request.method == "GET":  # the address of a refusal, opened again
        return HttpResponseRedirect(reverse("survey:landing", args=[slug]) + f"?{request.GET.urlencode()}")
    try:
        is_simulated = _is_rehearsal(request, slug)
        study = study_get(slug)
        arrival = {} if is_simulated else arrival_of(study=study, request=request)
        session = session_start(
            study=study, is_simulated=is_simulated, language=request.POST.get("language", ""), **arrival
        )
    except SurveyError as error:
        return _error_page(request, error)
    response = _to_visit(session.pk)
    # The limit on visits from one network is for strangers: who holds a ticket was let in by a researcher.
    response.is_rehearsal = is_simulated
    return response


@_visit_page
@require_GET
def visit(request: HttpRequest, session: RaterSession) -> HttpResponse:
    """Show the page of the session's step."""
    config = frozen_config(session.version_id)
    context = {"session": session, "token": session_token(session.pk)}
    return _page(request, session.step, config, context | _STEPS[session.step](session, config))


def _consent_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    return {"consent_sha256": frozen_consent_sha256(session.version_id)}


def _room(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    width, height = frozen_frame(session.version_id)
    return {
        "width": width,
        "height": height,
        "pixel_multiple": config["trial"]["pixel_multiple"],
        "gutter": GUTTER_PX,
        "side": SIDE_PX,
        "controls": CONTROLS_PX,
    }


def _instructions_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    examples = [
        {
            "question": config["texts"]["question"].format(class_name=example.class_name),
            "left": image_token(served=example.left, side="left"),
            "right": image_token(served=example.right, side="right"),
            "answer": example.answer,
        }
        for example in example_images(session)
    ]
    return {
        "examples": examples,
        "is_stacked": _is_stacked(session, config),
        "room": _room(session, config),
        "trial": config["trial"],
        "plan": config["plan"],
    }


def _device_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    return {"room": _room(session, config), "may_stack": config["trial"]["narrow_screens"] == "stack"}


def _is_stacked(session: RaterSession, config: dict[str, Any]) -> bool:
    """Return whether the window that the rater came with shows one image above the other."""
    device = Device(**session.device)
    return layout_of(device, trial=config["trial"], frame=frozen_frame(session.version_id)) == "stack"


def _trials_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    token = session_token(session.pk)
    urls = {name: reverse(f"survey:api-{name}", args=[token]) for name in ("window", "vote", "undo", "fault", "events")}
    setup = {
        "urls": urls | {"finish": reverse("survey:finish", args=[token])},
        "room": _room(session, config),
        "ties": config["trial"]["are_ties_allowed"],
        "stack": config["trial"]["narrow_screens"] == "stack",
        "zoom": config["trial"]["is_zoom_allowed"],
        "minimumExposureMs": config["trial"]["minimum_exposure_ms"],
        "breakEvery": config["plan"]["break_every"],
        "practice": session.assignment.get("practice", 0),
        "texts": trial_texts(),
    }
    return {"setup": setup, "ties": config["trial"]["are_ties_allowed"]}


def _done_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    completion = provider_of(config["recruitment"]).finish(session)
    return {"completion_url": completion.url, "completion_fields": dict(completion.fields)}


_STEPS: dict[str, Callable[[RaterSession, dict[str, Any]], dict[str, Any]]] = {
    "consent": _consent_context,
    "device": _device_context,
    "instructions": _instructions_context,
    "trials": _trials_context,
    "questions": lambda session, config: {},
    "done": _done_context,
}


@_visit_form
def consent(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_consent(session_id=session.pk, consent_sha256=request.POST.get("consent_sha256", ""))
    return _to_visit(session.pk)


def _reading(request: HttpRequest, name: str, default: float) -> float:
    try:
        value = float(request.POST.get(name, default))
    except ValueError:
        return default
    return value if abs(value) < 1e6 else default


@_visit_form
def device(request: HttpRequest, session: RaterSession) -> HttpResponse:
    if request.POST.get("again"):
        session_retry_device(session_id=session.pk)
        return _to_visit(session.pk)
    seen = Device(
        width=int(_reading(request, "width", 0)),
        height=int(_reading(request, "height", 0)),
        pixel_ratio=_reading(request, "pixel_ratio", 1.0),
        is_touch=request.POST.get("is_touch") == "true",
        extra={
            name: request.POST.get(name, "")[:100]
            for name in ("screen", "gamut", "colour_depth", "frame_ms", "reduced_motion", "framed")
        }
        | {"agent": request.headers.get("User-Agent", "")[:300]},
    )
    session_check_device(session_id=session.pk, device=seen)
    return _to_visit(session.pk)


@_visit_form
def begin(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_begin(session_id=session.pk)
    return _to_visit(session.pk)


@_visit_form
def finish(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_resume(session_id=session.pk)
    return _to_visit(session.pk)


@_visit_form
def questions(request: HttpRequest, session: RaterSession) -> HttpResponse:
    session_answer_questions(session_id=session.pk, answers=request.POST.dict())
    return _to_visit(session.pk)


@_visit_page
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, session: RaterSession) -> HttpResponse:
    if request.method == "POST":
        session_withdraw(session_id=session.pk)
        return _to_visit(session.pk)
    if session.step == "done":
        raise SessionNotActive
    context = {"session": session, "token": session_token(session.pk)}
    return _page(request, "withdraw", frozen_config(session.version_id), context)
