"""Ask for a release, and keep the zip that a worker made of it: one a study, the newest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from jobs.models import Job
from jobs.services import job_enqueue
from survey.models import Study
from survey.selectors.jobs import study_jobs, study_subject
from survey.selectors.rater import sessions_publishable
from survey.services.records.audit import audit_record
from survey.services.results.report_build import results_require_visible

__all__ = ["RELEASE", "release_current", "release_file_keep", "release_request"]

RELEASE = "survey.release"


@transaction.atomic
def release_request(*, study: Study, actor: Any, options: dict[str, Any]) -> Job:
    """Queue a release with the options of the owner. Raises ResultsHidden while the plan hides the votes."""
    results_require_visible(study)
    audit_record(study=study, actor=actor, action="build release", detail=options)
    user = actor if getattr(actor, "pk", None) else None
    parameters = {"study": study.slug, "options": options}
    return job_enqueue(kind=RELEASE, parameters=parameters, subject=study_subject(study), created_by=user)


def release_current(study: Study) -> Job | None:
    """Return the job whose zip is kept and still holds what may be published, or None.

    A zip with the answers of somebody who has withdrawn, or was erased, since is given out no more.
    """
    job = next((job for job in _finished(study) if default_storage.exists(job.result["file"])), None)
    if job is None or job.result["counts"]["raters"] != sessions_publishable(study).count():
        return None
    return job


def release_file_keep(*, study: Study, job: Job, path: Path) -> dict[str, Any]:
    """Store a release's zip under the name of its job, and let go of earlier ones.

    An earlier zip holds the answers of raters who have withdrawn since.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        name = default_storage.save(f"releases/{study.pk}/{job.pk}.zip", File(file))
    for earlier in _finished(study).exclude(pk=job.pk):
        default_storage.delete(earlier.result["file"])
    return {"file": name, "sha256": digest, "bytes": path.stat().st_size}


def _finished(study: Study) -> Any:
    return study_jobs(study).filter(kind=RELEASE, state="succeeded")
