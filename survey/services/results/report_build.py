"""Ask for a report, and keep what a worker made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from jobs.services import job_enqueue
from survey.exceptions import ResultsHidden
from survey.models import AuditEntry, ReportBuild, Study
from survey.selectors.access import are_results_visible, has_planned_looks
from survey.selectors.jobs import study_subject
from survey.selectors.looks import looks_before, looks_under_way
from survey.selectors.version import version_current
from survey.selectors.vote import current_votes
from survey.services.records.audit import audit_record

__all__ = [
    "LooksLeft",
    "are_results_hidden",
    "is_report_readable",
    "looks_left",
    "report_files_keep",
    "report_request",
    "report_require_readable",
    "results_require_visible",
]


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


def is_report_readable(build: ReportBuild) -> bool:
    """Return whether the report may be read now: a later plan may hide what could be seen when it was built."""
    return build.is_look or not are_results_hidden(build.study, is_pilot=build.is_pilot)


def report_require_readable(build: ReportBuild) -> None:
    """Raise ResultsHidden unless the report may be read: one that was a planned look always may."""
    if not is_report_readable(build):
        raise ResultsHidden


@dataclass(frozen=True)
class LooksLeft:
    """The looks before the end that a plan allows: how many it has, and how many are left."""

    planned: int
    left: int


def looks_left(study: Study) -> LooksLeft | None:
    """Return the looks that are left before the study is closed; None where its plan has none."""
    if not has_planned_looks(study) or not are_results_hidden(study):
        return None
    planned = version_current(study).config["analysis"]["looks"]["number"] - 1
    taken = len(looks_before(study)) + looks_under_way(study).count()
    return LooksLeft(planned=planned, left=max(0, planned - taken))


@transaction.atomic
def report_request(*, study: Study, actor: Any, is_pilot: bool = False) -> ReportBuild:
    """Queue the report of the votes as they stand. Raises ResultsHidden while the plan hides them."""
    # The state that allows the report, and the log entry that names its exclusions, are read together.
    locked = Study.objects.select_for_update().get(pk=study.pk)
    looks = None if is_pilot else looks_left(locked)
    if looks is None:
        results_require_visible(locked, is_pilot=is_pilot)
    elif not looks.left:
        raise ResultsHidden(f"All {looks.planned} looks before the end are taken. Close the study for the last one.")
    user = actor if getattr(actor, "pk", None) else None
    build = ReportBuild.objects.create(
        study=locked, version=version_current(locked), is_pilot=is_pilot, is_look=looks is not None, made_by=user
    )
    parameters = {"study": locked.slug, "build": build.pk}
    job = job_enqueue(kind="survey.report", parameters=parameters, subject=study_subject(locked), created_by=user)
    build.job = job.pk
    build.save(update_fields=["job"])
    look = {"look": looks.planned - looks.left + 1} if looks else {}
    audit_record(study=locked, actor=actor, action="build report", detail={"pilot": is_pilot} | look)
    return build


def report_files_keep(
    *,
    build: ReportBuild,
    folder: Path,
    data_sha256: str,
    verdict: dict[str, Any],
    looks_taken: Sequence[float] = (),
) -> ReportBuild:
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
    build.finished_at, build.looks_taken, build.verdict = timezone.now(), list(looks_taken), verdict
    build.save(update_fields=["files", "data_sha256", "ledger_revision", "finished_at", "looks_taken", "verdict"])
    return build
