"""The jobs that work on a study: their subject begins with its key, as a slug changes hands and a key never does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import Job
from survey.exceptions import StudyUnknown
from survey.models import Study

__all__ = ["studies_failed_jobs", "study_jobs", "study_jobs_under_way", "study_of_job", "study_subject"]


_LATELY = timedelta(days=14)
_FAILED_SHOWN = 10


def study_subject(study: Study) -> str:
    """Return the subject of a study's jobs; parts of larger work lie below it."""
    return f"study/{study.pk}/"


def study_jobs(study: Study) -> QuerySet[Job]:
    """Return the jobs of a study, newest first, without the parts of larger ones."""
    return Job.objects.filter(subject=study_subject(study)).order_by("-created_at")


def studies_failed_jobs(studies: Iterable[Study]) -> list[tuple[Study, Job]]:
    """Return the jobs of these studies that failed lately, newest first. An old failure is history."""
    by_subject = {study_subject(study): study for study in studies}
    since = timezone.now() - _LATELY
    failed = Job.objects.filter(subject__in=by_subject, state=Job.State.FAILED, created_at__gte=since)
    return [(by_subject[job.subject], job) for job in failed.order_by("-created_at")[:_FAILED_SHOWN]]


def study_jobs_under_way(study: Study) -> QuerySet[Job]:
    """Return what waits or is at work for a study, parts included."""
    under_way = [Job.State.QUEUED, Job.State.RUNNING]
    return Job.objects.filter(state__in=under_way, subject__startswith=study_subject(study))


def study_of_job(job: Job) -> Study:
    """Return the study that a job works on. Raises StudyUnknown when it is gone."""
    # A process of the version before may still queue jobs that name the study by its slug alone.
    names = {"pk": job.subject.split("/")[1]} if job.subject else {"slug": job.parameters["study"]}
    study = Study.objects.filter(**names).first()
    if study is None:
        raise StudyUnknown("The study of this job is gone.")
    return study
