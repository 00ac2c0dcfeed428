"""The jobs that work on a study: they name it in their parameters."""

from __future__ import annotations

from django.db.models import QuerySet

from jobs.models import Job
from survey.models import Study

__all__ = ["study_jobs"]


def study_jobs(study: Study) -> QuerySet[Job]:
    """Return the jobs of a study, newest first."""
    return Job.objects.filter(parameters__study=study.slug).order_by("-created_at")
