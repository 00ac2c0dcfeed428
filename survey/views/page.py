"""What the pages of raters share: language, headers, the session of an address, errors as a page."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.csrf import csrf_exempt

from survey.api.errors import error_status
from survey.exceptions import PanelIdRefused, SurveyError
from survey.models import RaterSession
from survey.recruitment import is_origin
from survey.selectors.texts import text_languages, texts_in
from survey.selectors.version import frozen_config
from survey.selectors.visit import session_get
from survey.services.visit.session import session_set_language
from survey.tokens import session_id_of, session_token
from survey.views.texts import BROWSERS

__all__ = ["error_page", "language_of", "other_query", "rater_page", "to_visit", "visit_form", "visit_page"]

PageView = Callable[..., HttpResponse]


def other_query(request: HttpRequest) -> str:
    """Return what else the address says: a panel's ids stay in it when the language changes."""
    query = request.GET.copy()
    query.pop("lang", None)
    return f"{query.urlencode()}&" if query else ""


def _languages(config: dict[str, Any] | None) -> dict[str, str]:
    """Return the languages that a study's pages come in, by code: all there are where it names none."""
    own = text_languages(config) if config else ()
    return {code: name for code, name in settings.LANGUAGES if not own or code in own}


def language_of(request: HttpRequest, stored: str = "", config: dict[str, Any] | None = None) -> str:
    """Return the language of a page: the one asked for, else the visit's, else the browser's, else the study's own."""
    known = _languages(config)
    asked = request.GET.get("lang") or request.POST.get("language", "")
    if asked in known or stored in known:
        return asked if asked in known else stored
    own = text_languages(config) if config else ()
    return next((code for code in _accepted(request) if code in own), own[0]) if own else request.LANGUAGE_CODE


def _accepted(request: HttpRequest) -> list[str]:
    """Return the languages of the browser, the dearest first, without their regions."""
    header = request.headers.get("Accept-Language", "")
    return [tag.split("-")[0] for tag, _ in parse_accept_lang_header(header)]


def rater_page(
    request: HttpRequest, template: str, config: dict[str, Any] | None, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    texts = texts_in(config, translation.get_language()) if config else {}
    shared = {
        "texts": texts,
        "title": texts.get("title", ""),
        # The answer to a form has no address to be asked for again, in whatever language.
        "languages": _languages(config).items() if request.method == "GET" else (),
        "query": other_query(request),
        "browsers": ", ".join(BROWSERS),
    }
    response = render(request, f"survey/rater/{template}.html", shared | context, status=status)
    patch_cache_control(response, private=True, no_store=True)
    recruitment = (config or {}).get("recruitment", {})
    response.csp_replace = {}
    # Versions frozen by 0.1 may hold anything: what is no origin would add rules of its own, or break the header.
    if ancestors := [*filter(is_origin, recruitment.get("frame_ancestors") or ())]:
        response.csp_replace["frame-ancestors"] = ancestors
        response.xframe_options_exempt = True
    if targets := [*filter(is_origin, recruitment.get("form_action") or ())]:
        response.csp_replace["form-action"] = ["'self'", *targets]
    return response


def visit_page(function: PageView) -> PageView:
    """Give the page the session of its address, in the rater's language; turn errors of the rules into a page."""

    @csrf_exempt  # the secret in the path is the login: no cookie is ever sent along
    @functools.wraps(function)
    def page(request: HttpRequest, token: str) -> HttpResponse:
        try:
            session = session_get(session_id_of(token))
        except SurveyError as error:
            return error_page(request, error)
        config = frozen_config(session.version_id)
        language = language_of(request, session.language, config)
        if language != session.language:
            session_set_language(session_id=session.pk, language=language)
        with translation.override(language):
            try:
                return function(request, session)
            except SurveyError as error:
                return error_page(request, error, config, language=language, visit=token)

    return page


def visit_form(function: PageView) -> PageView:
    """Take what a page of the visit sends. Whoever asks for its address sees where the visit stands."""

    @functools.wraps(function)
    def form(request: HttpRequest, session: RaterSession) -> HttpResponse:
        return function(request, session) if request.method == "POST" else to_visit(session.pk)

    return visit_page(form)


def error_page(
    request: HttpRequest,
    error: SurveyError,
    config: dict[str, Any] | None = None,
    *,
    language: str = "",
    visit: str = "",
) -> HttpResponse:
    with translation.override(language or language_of(request, config=config)):
        refused_id = error if isinstance(error, PanelIdRefused) else None
        context = {"text": _(str(error)), "visit": visit, "refused_id": refused_id}
        return rater_page(request, "message", config, context, status=error_status(error))


def to_visit(session_id: uuid.UUID) -> HttpResponseRedirect:
    response = HttpResponseRedirect(reverse("survey:visit", args=[session_token(session_id)]), status=303)
    patch_cache_control(response, private=True, no_store=True)
    return response
