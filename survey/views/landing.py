"""A study's own address: what it is, and the start of a visit."""

from __future__ import annotations

from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from survey.exceptions import StudyNotOpen, StudyUnknown, SurveyError
from survey.models import Study
from survey.selectors.version import frozen_config, version_current
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
        return error_page(request, error, config)
    except StudyUnknown:
        error = StudyUnknown("There is no study at this address. Check the link that you were given.")
        return error_page(request, error)
    query, language = other_query(request), language_of(request)
    with translation.override(language):
        context = {
            "action": reverse("survey:start", args=[slug]) + (f"?{query.removesuffix('&')}" if query else ""),
            "language": language,
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
        study = study_get(slug)
        arrival = {} if is_simulated else arrival_of(study=study, request=request)
        session = session_start(
            study=study, is_simulated=is_simulated, language=request.POST.get("language", ""), **arrival
        )
    except SurveyError as error:
        return error_page(request, error)
    response = to_visit(session.pk)
    # The limit on visits from one network is for strangers: who holds a ticket was let in by a researcher.
    response.is_rehearsal = is_simulated
    return response
