"""The admin's first page: the user's studies with what comes next, and what went wrong; all tables behind a link."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from jobs.registry import caption_of
from survey.admin.page import study_address
from survey.models import Study
from survey.selectors.access import may_change, studies_visible_to
from survey.selectors.jobs import studies_failed_jobs
from survey.services.results.progress import studies_counted
from survey.services.study.transitions import study_next

__all__ = ["home"]

# The newest; the list of studies has the others.
STUDIES_SHOWN = 10

# Beside every page it would push columns out of a usual window; the first page has all tables behind a link.
admin.site.enable_nav_sidebar = False

# Taken before it is replaced below, or the page would call itself.
_stock_index = admin.site.index


def home(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
    """Show the stock index with the user's studies above it."""
    rows = studies_visible_to(request.user).exclude(state=Study.State.ARCHIVED).order_by("-created_at")
    # One more than shown tells whether there are others, without counting them.
    studies = list(rows[: STUDIES_SHOWN + 1])
    context = {
        "studies": [_row(request, study) for study in _counted(studies[:STUDIES_SHOWN])],
        "has_more": len(studies) > STUDIES_SHOWN,
        "failed": [
            {"study": study, "caption": caption_of(job.kind), "reason": job.reason, "address": study_address(study)}
            for study, job in studies_failed_jobs(studies[:STUDIES_SHOWN])
        ],
        "all_studies": reverse("admin:survey_study_changelist"),
        "new_study": reverse("admin:survey_study_add"),
    }
    return _stock_index(request, context | (extra_context or {}))


def _counted(studies: list[Study]) -> list[Study]:
    counts = studies_counted([study.pk for study in studies])
    for study in studies:
        study.counts = counts[study.pk]
    return studies


def _row(request: HttpRequest, study: Study) -> dict[str, Any]:
    return {
        "study": study,
        "address": study_address(study),
        "next": study_next(study) if may_change(request.user, study) else "",
    }


admin.site.index = home
admin.site.index_template = "admin/survey/home.html"
