"""Freezing and importing: at once when it takes seconds, on a worker when it takes longer. One rule for every door."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any

from jobs.models import Job
from jobs.services import job_cancel, job_enqueue
from survey.exceptions import StudyNotReady
from survey.models import PairImage, Study
from survey.selectors.jobs import study_subject
from survey.selectors.vote import current_votes
from survey.services.images.import_sources import zip_sources
from survey.services.images.importing import ImportReport, images_import
from survey.services.images.manifest import UploadedTable
from survey.services.images.uploads import upload_discard, upload_keep, uploads_sweep
from survey.services.study.study import study_transition
from survey.services.study.version import version_freeze, version_problems

__all__ = [
    "IMPORT",
    "INLINE_FILES",
    "INLINE_VOTES",
    "SCREENING",
    "exclusions_begin",
    "import_begin",
    "is_screening_long",
    "transition_begin",
    "work_cancel",
]

# Up to this many images are read while the caller waits.
INLINE_FILES = 1_000
# Up to this many votes are screened while the caller waits.
INLINE_VOTES = 20_000
IMPORT = "survey.import_zip"
SCREENING = "survey.exclusions"


def import_begin(
    *,
    study: Study,
    file: IO[bytes],
    actor: Any,
    class_names: Mapping[str, str] | None = None,
    manifest: UploadedTable | None = None,
    leave_out_unmatched: bool = False,
    are_texts_read: bool = False,
) -> tuple[ImportReport | None, Job | None]:
    """Import a zip, or queue its import; return the report or the job. ``manifest`` takes the place of one inside."""
    rules = {
        "class_names": dict(class_names or {}),
        "leave_out_unmatched": leave_out_unmatched,
        "are_texts_read": are_texts_read,
    }
    with zip_sources(file, manifest=manifest and manifest.table) as sources:
        if sum(len(source.names()) for source in sources.values()) <= INLINE_FILES:
            return images_import(study=study, sources=sources, actor=actor, **rules), None
    uploads_sweep(wanted=_waiting_uploads())
    parameters = {"study": study.slug, "actor": str(actor), "file": upload_keep(file), **rules}
    if manifest:
        parameters |= {"manifest": upload_keep(io.BytesIO(manifest.content)), "manifest_name": manifest.table.name}
    return None, job_enqueue(kind=IMPORT, parameters=parameters, subject=study_subject(study), created_by=actor)


def _waiting_uploads() -> set[str]:
    jobs = Job.objects.filter(kind=IMPORT, state__in=[Job.State.QUEUED, Job.State.RUNNING])
    names = jobs.values_list("parameters__file", "parameters__manifest")
    return {name for both in names for name in both if name}


def work_cancel(job: Job) -> Job:
    """Cancel a job; an upload that waited for it goes with it. A running import drops its own when it stops."""
    job = job_cancel(job)
    if job.kind == IMPORT and job.state == Job.State.CANCELLED:
        for name in ("file", "manifest"):
            if job.parameters.get(name):
                upload_discard(job.parameters[name])
    return job


def is_screening_long(study: Study, *, is_pilot: bool) -> bool:
    """Return whether a study has too many votes to screen while somebody waits."""
    votes = current_votes(study, is_pilot=is_pilot).order_by()
    return votes[: INLINE_VOTES + 1].count() > INLINE_VOTES


def exclusions_begin(
    *, study: Study, rules: list[dict[str, Any]] | None, is_pilot: bool, is_preview: bool, actor: Any
) -> Job | None:
    """Queue the screening of a study of many votes; None where there are so few that the caller screens at once."""
    if not is_screening_long(study, is_pilot=is_pilot):
        return None
    parameters = {
        "study": study.slug,
        "actor": str(actor),
        "rules": rules,
        "is_pilot": is_pilot,
        "is_preview": is_preview,
    }
    subject = study_subject(study)
    return job_enqueue(kind=SCREENING, parameters=parameters, subject=subject, created_by=actor)


def transition_begin(*, study: Study, name: str, actor: Any, reason: str = "") -> Job | None:
    """Carry out a named step; freezing a study of many images becomes a job, which is returned."""
    if name != "freeze" or study.state != Study.State.DRAFT:
        study_transition(study=study, name=name, actor=actor, reason=reason)
        return None
    if problems := version_problems(study):
        raise StudyNotReady(problems)
    if PairImage.objects.filter(pair__study=study, pair__is_selected=True).count() <= INLINE_FILES:
        version_freeze(study=study, actor=actor, reason=reason)
        return None
    parameters = {"study": study.slug, "actor": str(actor), "reason": reason}
    return job_enqueue(kind="survey.freeze", parameters=parameters, subject=study_subject(study), created_by=actor)
