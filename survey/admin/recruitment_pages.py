"""Pages about raters: the link for raters, personal links, the comparison with a panel, erasure."""

from __future__ import annotations

import csv
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods

from survey.admin.editors import Recruitment
from survey.admin.page import download, render, study_address, study_page
from survey.links import entry_link, personal_link
from survey.models import PersonalLink, Study
from survey.recruitment import recruitment_problems
from survey.selectors.access import may_manage
from survey.selectors.links import link_batches
from survey.services.panel.erasure import identity_erase
from survey.services.panel.links import MOST_LINKS, personal_link_revoke, personal_links_create
from survey.services.panel.reconciliation import panel_rows, submissions_reconcile
from survey.services.study.study import study_update

__all__ = ["link_to_give", "links_csv", "links_print", "recruitment"]


# Of the names of the fields, as in the form of the whole study.
_PREFIX = "recruitment"


class LinksForm(forms.Form):
    count = forms.IntegerField(min_value=1, max_value=MOST_LINKS, initial=30, label="How many")


@require_http_methods(["GET", "POST"])
@study_page()
def recruitment(request: HttpRequest, study: Study) -> HttpResponse:
    context: dict[str, Any] = {"tab": "recruitment", "links_form": LinksForm(), "provider_form": _editor(study)}
    if request.method == "POST":
        answer = _DOINGS.get(request.POST.get("do", ""), _nothing)(request, study)
        if isinstance(answer, HttpResponse):
            return answer
        context |= answer
    return render(
        request,
        study,
        "recruitment.html",
        **context,
        **link_to_give(study),
        batches=link_batches(study),
        may_manage=may_manage(request.user, study),
        erasures=study.erasures.select_related("erased_by").order_by("-erased_at")[:20],
        is_draft=study.state == Study.State.DRAFT,
    )


def link_to_give(study: Study) -> dict[str, Any]:
    """Return what a page shows of the link that raters get: with the panel's placeholders where there is a panel."""
    problems = recruitment_problems(study.recruitment)
    # Settings that are wrong stand for no provider yet; the page says so beside the link.
    provider = "open" if problems else study.recruitment.get("provider", "open")
    return {"recruitment_problems": problems, "link": entry_link(study), "provider": provider}


def _back(study: Study) -> HttpResponse:
    return HttpResponseRedirect(study_address(study, "recruitment"))


def _nothing(request: HttpRequest, study: Study) -> HttpResponse:
    return _back(study)


def _editor(study: Study) -> Recruitment:
    return Recruitment.of(study.recruitment, _PREFIX)


def _set_provider(request: HttpRequest, study: Study) -> Any:
    form = Recruitment.read(request.POST, _PREFIX)
    if not form.is_valid():
        return {"provider_form": form}
    study_update(study=study, actor=request.user, recruitment=form.value())
    messages.success(request, "Recruitment is set. It is frozen with the design.")
    return _back(study)


def _make_links(request: HttpRequest, study: Study) -> Any:
    form = LinksForm(request.POST)
    if not form.is_valid():
        return {"links_form": form}
    links = personal_links_create(study=study, count=form.cleaned_data["count"], actor=request.user)
    messages.success(request, f"Batch {links[0].batch}: {len(links)} links made.")
    return _back(study)


def _revoke_link(request: HttpRequest, study: Study) -> HttpResponse:
    batch, _, number = request.POST.get("link", "").partition("-")
    if batch.isdigit() and number.isdigit():
        link = get_object_or_404(PersonalLink, study=study, batch=int(batch), number=int(number))
        personal_link_revoke(link=link, actor=request.user)
        messages.success(request, f"{link} is closed.")
    else:
        messages.error(request, "Name a link as batch-number, for example 1-12.")
    return _back(study)


def _reconcile(request: HttpRequest, study: Study) -> Any:
    file = request.FILES.get("export")
    # A panel's export has some hundred bytes a submission.
    if file is None or file.size > 32 * 1024**2:
        messages.error(request, "Choose the panel's export, CSV or JSON, up to 32 MB.")
        return _back(study)
    provider = study.recruitment.get("provider", "open")
    rows = panel_rows(file.read())
    return {"reconciled": submissions_reconcile(study=study, provider=provider, rows=rows, actor=request.user)}


def _erase(request: HttpRequest, study: Study) -> HttpResponse:
    # Erasing cannot be taken back, so it is the owner's alone.
    if not may_manage(request.user, study):
        raise PermissionDenied
    proof = identity_erase(study=study, panel_id=request.POST.get("panel_id", ""), actor=request.user)
    messages.success(request, f"Erased. {proof.votes_kept} anonymous votes stay. Proof: {proof.identity_digest}")
    return _back(study)


_DOINGS = {
    "provider": _set_provider,
    "links": _make_links,
    "revoke": _revoke_link,
    "reconcile": _reconcile,
    "erase": _erase,
}


@require_GET
@study_page()
def links_csv(request: HttpRequest, study: Study, batch: int) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    writer = csv.writer(response)
    writer.writerow(["number", "link"])
    # Closed links open nothing: a slip with one would send its reader to an error.
    for link in study.personal_links.filter(batch=batch, is_revoked=False):
        writer.writerow([f"{link.batch}-{link.number}", personal_link(study, link)])
    return download(response, f"{study.slug}-links-{batch}.csv")


@require_GET
@study_page()
def links_print(request: HttpRequest, study: Study, batch: int) -> HttpResponse:
    """Slips to cut apart, one link on each."""
    links = study.personal_links.filter(batch=batch, is_revoked=False)
    slips = [(link, personal_link(study, link)) for link in links]
    return render(request, study, "slips.html", tab="recruitment", slips=slips, batch=batch)
