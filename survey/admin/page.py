"""What all pages of a study share: the guard, the head with its tabs, the addresses."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from jobs.registry import called, caption_of
from survey.exceptions import ResultsHidden, SurveyError
from survey.models import Study
from survey.selectors.access import may_change, role_in, studies_visible_to
from survey.selectors.jobs import study_jobs

__all__ = ["View", "download", "head_context", "jobs_context", "render", "study_address", "study_page"]

# The newest: what happens now, and what failed just before.
JOBS_SHOWN = 5
called(
    {
        "survey.freeze": "Freeze the design",
        "survey.import_zip": "Import images",
        "survey.exclusions": "Screen sessions",
        "survey.report": "Build a report",
        "survey.release": "Write a release",
        "survey.webhook": "Tell a webhook",
        "survey.forget_files": "Delete files that nothing needs",
    }
)

View = Callable[..., HttpResponse]


def study_page(*, needs: Callable[[Any, Study], bool] | None = None) -> Callable[[View], View]:
    """Give a view the study of its address: 404 for a stranger, 403 to POST without the role that ``needs`` asks."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, pk: int, **kwargs: Any) -> HttpResponse:
            # A stranger gets the answer of a study that does not exist.
            study = get_object_or_404(studies_visible_to(request.user), pk=pk)
            # Viewers may read every page; what they may not do is looked at in one place.
            if request.method == "POST" and not (needs or may_change)(request.user, study):
                raise PermissionDenied
            try:
                return view(request, study, **kwargs)
            except SurveyError as error:
                if request.method != "POST":
                    if isinstance(error, ResultsHidden):
                        raise PermissionDenied(str(error)) from error
                    raise
                # What a rule refuses is said on the page that the person comes from.
                messages.error(request, str(error))
                return HttpResponseRedirect(request.path if request.POST.get("stay") else study_address(study))

        return guarded

    return decorate


def study_address(study: Study, name: str = "page", /, **kwargs: Any) -> str:
    return reverse(f"admin:survey_study_{name}", kwargs={"pk": study.pk, **kwargs})


def render(request: HttpRequest, study: Study, template: str, **context: Any) -> TemplateResponse:
    """Return a page of a study with what every such page shows."""
    common = admin.site.each_context(request) | {
        "may_change": may_change(request.user, study),
        "title": study.title,
        "opts": Study._meta,
    }
    return TemplateResponse(request, f"admin/survey/{template}", common | head_context(request, study) | context)


def head_context(request: HttpRequest, study: Study) -> dict[str, Any]:
    """Return what the head of every page of a study shows."""
    return {"study": study, "role": role_in(request.user, study), "tabs": _tabs(study)}


def _tabs(study: Study) -> list[tuple[str, str, str]]:
    """Return (name, address, caption) of the study's pages."""
    # The admin's own lists, cut down to one study by their filter.
    below = f"?of_study={study.pk}"
    return [
        ("overview", study_address(study), "Overview"),
        ("design", reverse("admin:survey_study_change", args=[study.pk]), "Design"),
        ("images", study_address(study, "pairs"), "Images"),
        ("preview", study_address(study, "preview"), "Preview"),
        ("sessions", reverse("admin:survey_ratersession_changelist") + below, "Sessions"),
        ("votes", reverse("admin:survey_vote_changelist") + below, "Votes"),
        ("recruitment", study_address(study, "recruitment"), "Recruitment"),
        ("exclusions", study_address(study, "exclusions"), "Exclusions"),
        ("reports", study_address(study, "reports"), "Reports"),
        ("release", study_address(study, "release"), "Release"),
        ("planning", study_address(study, "planning"), "Planning"),
        ("people", study_address(study, "people"), "People"),
        ("webhooks", study_address(study, "webhooks"), "Webhooks"),
        ("log", study_address(study, "log"), "Log"),
    ]


def jobs_context(study: Study, kind: str = "") -> dict[str, Any]:
    """Return the newest jobs of a study, of one kind or of all, as the list of jobs shows them."""
    rows = study_jobs(study)
    jobs = list((rows.filter(kind=kind) if kind else rows)[:JOBS_SHOWN])
    for job in jobs:
        job.caption = caption_of(job.kind)
    return {"jobs": jobs, "jobs_kind": kind}


def download(response: Any, name: str) -> Any:
    """Make a response a file to save."""
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
