"""Long work on a study. A handler fetches, calls a service, and reports how far it is."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model

from jobs.exceptions import PermanentJobError
from jobs.lease import Lease
from jobs.registry import handles
from survey.exceptions import SurveyError
from survey.models import ReportBuild, WebhookDelivery
from survey.selectors.jobs import study_of_job
from survey.services.images.import_sources import zip_sources
from survey.services.images.importing import images_import
from survey.services.images.manifest import manifest_read
from survey.services.images.uploads import upload_opened
from survey.services.records.stored_files import FORGET, files_forget
from survey.services.records.webhook import webhook_deliver
from survey.services.results.exclusion import exclusions_apply
from survey.services.results.release_build import RELEASE, release_file_keep
from survey.services.results.report_build import report_files_keep, results_require_visible
from survey.services.study.version import version_freeze

# A preview keeps this many rows; the count is whole.
SHOWN_PROPOSALS = 500


def _actor(name: str | None) -> Any:
    """Return the user who asked for the work; the name alone when the account is gone."""
    return get_user_model().objects.filter(username=name).first() or name


@handles("survey.freeze")
def freeze(lease: Lease, *, study: str, actor: str, reason: str = "") -> dict[str, Any]:
    """Freeze a study of many images."""
    try:
        version = version_freeze(
            study=study_of_job(lease.job),
            actor=_actor(actor),
            reason=reason,
            on_progress=lambda done, total: lease.progress(done, total, "images encoded"),
        )
    except SurveyError as error:
        # What the rules refuse they will refuse again: trying once more would only delay the message.
        raise PermanentJobError(str(error)) from error
    return {"version": version.number, "config_sha256": version.config_sha256}


@handles("survey.import_zip")
def import_zip(
    lease: Lease,
    *,
    study: str,
    actor: str,
    file: str,
    leave_out_unmatched: bool,
    class_names: dict[str, str],
    are_texts_read: bool = False,
    manifest: str = "",
    manifest_name: str = "",
) -> dict[str, Any]:
    """Import an uploaded zip, with the table that came beside it."""
    try:
        with ExitStack() as opened:
            stored = opened.enter_context(upload_opened(file))
            table = None
            if manifest:
                table = manifest_read(opened.enter_context(upload_opened(manifest)).read(), name=manifest_name)
            sources = opened.enter_context(zip_sources(stored, manifest=table))
            report = images_import(
                study=study_of_job(lease.job),
                sources=sources,
                actor=_actor(actor),
                class_names=class_names,
                leave_out_unmatched=leave_out_unmatched,
                are_texts_read=are_texts_read,
                on_progress=lambda done, total: lease.progress(done, total, "images read"),
            )
    except SurveyError as error:
        raise PermanentJobError("\n".join(getattr(error, "problems", [str(error)]))) from error
    return report.as_dict()


@handles("survey.exclusions")
def exclusions(
    lease: Lease, *, study: str, actor: str, rules: list[dict[str, Any]] | None, is_pilot: bool, is_preview: bool
) -> dict[str, Any]:
    """Screen the sessions of a study of many votes; write the proposals to the ledger unless it is a preview."""
    from survey.reports.screening import exclusion_proposals

    written = 0
    lease.progress(0, 2, "screening sessions", force=True)
    try:
        row = study_of_job(lease.job)
        proposals = exclusion_proposals(row, rules=rules, is_pilot=is_pilot)
        lease.progress(1, 2, "writing to the ledger" if not is_preview else "listing", force=True)
        if not is_preview:
            with lease.fenced():
                written = exclusions_apply(study=row, proposals=proposals, actor=_actor(actor))
    except (SurveyError, ValueError) as error:
        raise PermanentJobError(f"{study}: {error}") from error
    shown = [vars(proposal) | {"session_id": str(proposal.session_id)} for proposal in proposals[:SHOWN_PROPOSALS]]
    return {"found": len(proposals), "written": written, "proposals": shown, "is_pilot": is_pilot, "rules": rules}


def _verdict(report: dict[str, Any]) -> dict[str, Any]:
    """Return what pages say of a report: its own verdict, in its own words."""
    found = report["verdict"] or {}
    kind = found.get("kind")
    words = kind.replace("_", " ") if kind else ""
    return {"kind": kind, "words": words, "looks": found.get("looks"), "text": report["text"]["lead"]}


@handles("survey.report")
def report(lease: Lease, *, study: str, build: int) -> dict[str, Any]:
    """Build a report with everything that belongs to it, and keep its files."""
    from survey.reports.bundle import report_bundle

    row = ReportBuild.objects.select_related("study").get(pk=build)
    lease.progress(0, 2, "computing", force=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "report"
        try:
            result = report_bundle(row.study, folder, is_pilot=row.is_pilot)
        except (SurveyError, ValueError) as error:
            raise PermanentJobError(f"{study}: {error}") from error
        lease.progress(1, 2, "storing", force=True)
        with lease.fenced():
            looks = result["plan"].get("looks")
            report_files_keep(
                build=row,
                folder=folder,
                data_sha256=result["data"]["sha256"],
                verdict=_verdict(result),
                looks_taken=looks.get("taken", ()) if isinstance(looks, dict) else (),
            )
    return {"build": row.pk, "files": len(row.files), "verdict": result["text"]["lead"]}


@handles(RELEASE)
def release(lease: Lease, *, study: str, options: dict[str, Any]) -> dict[str, Any]:
    """Write a release and keep it as a zip."""
    from survey.reports.release.release import ReleaseOptions
    from survey.reports.release.zipped import release_zip

    row = study_of_job(lease.job)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "release.zip"
        try:
            results_require_visible(row)
            counts = release_zip(
                row,
                path,
                ReleaseOptions(**options),
                on_progress=lambda done, total: lease.progress(done, total, "images"),
            )
        except SurveyError as error:
            raise PermanentJobError("\n".join(getattr(error, "problems", [str(error)]))) from error
        with lease.fenced():
            return release_file_keep(study=row, job=lease.job, path=path) | {"counts": counts}


@handles(FORGET)
def forget_files(lease: Lease, *, names: list[str]) -> dict[str, Any]:
    """Delete the files of removed images that nothing else points at."""
    return {
        "deleted": files_forget(names, on_progress=lambda done: lease.progress(done, len(names), "files looked at"))
    }


@handles("survey.webhook")
def webhook(lease: Lease, *, study: str, delivery: int) -> dict[str, Any]:
    """Deliver one event. Gone with its webhook, it is nothing to do any more."""
    row = WebhookDelivery.objects.select_related("webhook").filter(pk=delivery).first()
    if row is None:
        return {}
    return {"status": webhook_deliver(row).status_code}
