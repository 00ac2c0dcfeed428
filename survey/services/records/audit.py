"""The audit log: append, and prove that nothing was changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.utils import timezone

from survey.canonical import canonical_json
from survey.models import AuditEntry, Study

__all__ = ["audit_first_break", "audit_lines", "audit_record"]


def _content(entry: AuditEntry) -> dict[str, Any]:
    return {
        "study": entry.study_id,
        "number": entry.number,
        "actor": entry.actor,
        "action": entry.action,
        "detail": entry.detail,
        "at": entry.at.isoformat(),
        "previous": entry.previous_sha256,
    }


def _digest(entry: AuditEntry) -> str:
    return hashlib.sha256(canonical_json(_content(entry))).hexdigest()


@transaction.atomic
def audit_record(*, study: Study, actor: Any, action: str, detail: dict[str, Any] | None = None) -> AuditEntry:
    """Append what ``actor`` (a user, or a name such as "command line") did. Runs under the study's row lock."""
    # Entries are numbered and each holds its predecessor's hash: they are written one after the other.
    Study.objects.select_for_update().get(pk=study.pk)
    last = AuditEntry.objects.filter(study=study).order_by("-number").first()
    entry = AuditEntry(
        study=study,
        number=last.number + 1 if last else 1,
        actor=str(actor or "command line"),
        action=action,
        detail=detail or {},
        at=timezone.now(),
        previous_sha256=last.sha256 if last else "",
    )
    entry.sha256 = _digest(entry)
    # Never an update: a row of the log that exists stays as it is.
    entry.save(force_insert=True)
    return entry


def audit_first_break(study: Study) -> int | None:
    """Return the number of the first entry that does not fit its chain, or None when the log is whole."""
    previous = ""
    entries = AuditEntry.objects.filter(study=study).order_by("number")
    for number, entry in enumerate(entries.iterator(chunk_size=500), start=1):
        if entry.number != number or entry.previous_sha256 != previous or entry.sha256 != _digest(entry):
            return number
        previous = entry.sha256
    return None


def audit_lines(study: Study) -> Iterator[bytes]:
    """Yield the chain as JSON lines, digests and all that goes into them included: it can be checked elsewhere."""
    for entry in AuditEntry.objects.filter(study=study).order_by("number").iterator(chunk_size=500):
        yield canonical_json(_content(entry) | {"sha256": entry.sha256}) + b"\n"
