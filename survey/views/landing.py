"""A study's own address: what it is, and the start of a visit."""

from __future__ import annotations

from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from survey.exceptions import EntryRefused, StudyNotOpen, StudyUnknown, SurveyError
from survey.models import RaterSession, Study
from survey.selectors.version import frozen_config, frozen_room, version_current
from survey.services.study.study import study_get
from survey.services.visit.arrival import arrival_of
from survey.services.visit.session import REHEARSAL_SALT, session_start
from survey.views.page import error_page, language_of, other_query, rater_page, to_visit

__all__ = ["landing", "start"]

OPEN_STATES = {Study.State.RUNNING, Study.State.PILOTING}


def _is_rehearsal(request: HttpRequest, slug: str) -> bool:
    """Return True when the address carries the ticket of a rehearsal of this study."""
    ticket = request.GET.get("ticket")
    if not ticket:
        return False
    try:
        # A rehearsal takes minutes; a ticket in a log must not open the study for ever.
        if signing.loads(ticket, salt=REHEARSAL_SALT, max_age=86_400) == slug:
            return True
    except signing.BadSignature:
        pass
    raise EntryRefused("The rehearsal's ticket is not valid (any more); start the rehearsal again.")


def _open_study(slug: str, *, is_rehearsal: bool = False) -> Study | None:
    """Return the study if it takes raters, or may be rehearsed; None for any other, and for none."""
    try:
        study = study_get(slug)
    except StudyUnknown:
        return None
    return study if study.state in OPEN_STATES or (is_rehearsal and study.state != Study.State.DRAFT) else None


def _not_open(request: HttpRequest) -> HttpResponse:
    """The one answer for drafts, frozen, paused and closed studies and for those that never were.

    Any difference would tell strangers which studies a laboratory has.
    """
    return error_page(request, StudyNotOpen())


@require_GET
def landing(request: HttpRequest, slug: str) -> HttpResponse:
    """Say what the study is, before anything is stored."""
    try:
        is_rehearsal = _is_rehearsal(request, slug)
    except EntryRefused as error:
        return error_page(request, error)
    study = _open_study(slug, is_rehearsal=is_rehearsal)
    version = version_current(study) if study else None
    if version is None:
        return _not_open(request)
    config = frozen_config(version.pk)
    query, language = other_query(request), language_of(request, config=config)
    with translation.override(language):
        context = {
            "action": reverse("survey:start", args=[slug]) + (f"?{query.removesuffix('&')}" if query else ""),
            "language": language,
            "room": frozen_room(version.pk).as_json(),
        }
        return rater_page(request, "landing", config, context)


@csrf_exempt
@require_http_methods(["GET", "POST"])
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Open a visit, and go to the address at which it can be continued from any device."""
    if request.method == "GET":  # the address of a refusal, opened again
        return HttpResponseRedirect(reverse("survey:landing", args=[slug]) + f"?{request.GET.urlencode()}")
    try:
        is_simulated = _is_rehearsal(request, slug)
    except EntryRefused as error:
        return error_page(request, error)
    is_open = _open_study(slug) is not None
    try:
        session = _begun(request, slug, is_simulated=is_simulated)
    except SurveyError as error:
        return error_page(request, error) if is_open else _not_open(request)
    response = to_visit(session.pk)
    # The limit on visits from one network is for strangers: who holds a ticket was let in by a researcher.
    response.is_rehearsal = is_simulated
    return response


@transaction.atomic
def _begun(request: HttpRequest, slug: str, *, is_simulated: bool) -> RaterSession:
    """Return a new visit, or the one that a known person has; of a refused one nothing stays."""
    study = study_get(slug)
    arrival = {} if is_simulated else arrival_of(study=study, request=request)
    return session_start(study=study, is_simulated=is_simulated, language=language_of(request), **arrival)
