"""The looks at a study's results that were taken before it was closed, under a plan of several looks."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from jobs.models import Job
from survey.models import ReportBuild, Study

__all__ = ["looks_before", "looks_under_way"]


def looks_before(study: Study) -> tuple[float, ...]:
    """Return the share of the planned raters at each look so far."""
    newest = study.reports.filter(is_look=True, finished_at__isnull=False).order_by("-finished_at").first()
    return tuple(newest.looks_taken) if newest else ()


def looks_under_way(study: Study) -> QuerySet[ReportBuild]:
    """Return the looks that a worker has still to take: what they will show counts as looked at."""
    over = Job.objects.filter(Q(state="failed") | Q(state="cancelled")).values("pk")
    return study.reports.filter(is_look=True, finished_at__isnull=True).exclude(job__in=over)
