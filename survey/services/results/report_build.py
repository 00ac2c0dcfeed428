"""Ask for a report, and keep what a worker made of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from jobs.services import job_enqueue
from survey.exceptions import ResultsHidden
from survey.models import AuditEntry, ReportBuild, Study
from survey.selectors.access import are_results_visible
from survey.selectors.jobs import study_subject
from survey.selectors.version import version_current
from survey.selectors.vote import current_votes
from survey.services.records.audit import audit_record

__all__ = ["are_results_hidden", "report_files_keep", "report_request", "results_require_visible"]


def results_require_visible(study: Study, *, is_pilot: bool = False) -> None:
    """Raise ResultsHidden while the plan hides the main results.

    A pilot's are never hidden, because they never pool, nor a rehearsal's, as long as no rater has voted.
    """
    if are_results_hidden(study, is_pilot=is_pilot):
        raise ResultsHidden


def are_results_hidden(study: Study, *, is_pilot: bool = False) -> bool:
    """Return whether votes of raters are there that nobody may see yet."""
    if is_pilot or are_results_visible(study):
        return False
    return current_votes(study).filter(trial__session__is_simulated=False).exists()


@transaction.atomic
def report_request(*, study: Study, actor: Any, is_pilot: bool = False) -> ReportBuild:
    """Queue the report of the votes as they stand. Raises ResultsHidden while the plan hides them."""
    # The state that allows the report, and the log entry that names its exclusions, are read together.
    locked = Study.objects.select_for_update().get(pk=study.pk)
    results_require_visible(locked, is_pilot=is_pilot)
    user = actor if getattr(actor, "pk", None) else None
    build = ReportBuild.objects.create(study=locked, version=version_current(locked), is_pilot=is_pilot, made_by=user)
    parameters = {"study": locked.slug, "build": build.pk}
    job = job_enqueue(kind="survey.report", parameters=parameters, subject=study_subject(locked), created_by=user)
    build.job = job.pk
    build.save(update_fields=["job"])
    audit_record(study=locked, actor=actor, action="build report", detail={"pilot": is_pilot})
    return build


def report_files_keep(*, build: ReportBuild, folder: Path, data_sha256: str) -> ReportBuild:
    """Store every file of a folder as the build's and mark it finished; the last audit entry dates the ledger."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            stored = default_storage.save(f"reports/{build.study_id}/{build.pk}/{name}", File(file))
        files[name] = {"name": stored, "sha256": digest, "bytes": path.stat().st_size}
    last = AuditEntry.objects.filter(study=build.study_id).order_by("-number").values_list("number", flat=True).first()
    build.files, build.data_sha256, build.ledger_revision = files, data_sha256, last or 0
    build.finished_at = timezone.now()
    build.save(update_fields=["files", "data_sha256", "ledger_revision", "finished_at"])
    return build
