"""Personal links, what a panel says against what is stored here, and the erasure of a person."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from analysis.votes.sheet import SheetError, read_sheet
from survey.exceptions import BadPanelExport
from survey.models import (
    PanelSubmission,
    RaterIdentity,
    RaterSession,
    Study,
)
from survey.services.records.audit import audit_record
from survey.services.visit.arrival import identity_keys

__all__ = ["PanelRow", "Reconciliation", "panel_rows", "submissions_reconcile"]


# Panel submissions against sessions -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PanelRow:
    """One submission as the panel lists it."""

    submission: str
    status: str
    code: str = ""


@dataclass
class Reconciliation:
    """How many submissions agree with what is stored, and each that does not, with what to do."""

    matched: int = 0
    differences: list[dict[str, str]] = field(default_factory=list)

    def add(self, kind: str, submission: str, detail: str, remedy: str) -> None:
        self.differences.append({"kind": kind, "submission": submission, "detail": detail, "remedy": remedy})


_COLUMNS = {
    "submission": ("submission id", "submission_id", "session_id", "assignmentid", "assignment id", "id"),
    "status": ("status", "assignmentstatus", "assignment status"),
    "code": ("completion code", "entered_code", "study_code", "completion_code", "answer.code", "code"),
}


def panel_rows(content: bytes) -> list[PanelRow]:
    """Read a panel's export: CSV with a header, or JSON as the panel's API lists submissions.

    Raises
    ------
    BadPanelExport
        Naming the column that is missing.
    """
    try:
        if content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in {b"[", b"{"}:
            data = json.loads(content.decode("utf-8-sig"))
            rows = data.get("results", []) if isinstance(data, dict) else data
        else:
            rows = [record for _, record in read_sheet(content).records()]
    except (SheetError, ValueError) as error:
        raise BadPanelExport(f"the file cannot be read as CSV or JSON: {error}") from None
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise BadPanelExport("the file lists no submission")
    names = {str(name).strip().lower(): name for name in rows[0]}
    found = {want: next((names[one] for one in known if one in names), None) for want, known in _COLUMNS.items()}
    for want in ("submission", "status"):
        if found[want] is None:
            raise BadPanelExport(f"the file has no column for the {want}; it has {', '.join(names)}")
    return [
        PanelRow(
            submission=str(row.get(found["submission"]) or "").strip()[:200],
            status=str(row.get(found["status"]) or "").strip()[:40],
            code=str((row.get(found["code"]) if found["code"] else "") or "").strip()[:40],
        )
        for row in rows
    ]


@transaction.atomic
def submissions_reconcile(*, study: Study, provider: str, rows: list[PanelRow], actor: Any) -> Reconciliation:
    """Compare the panel's submissions with the sessions, store what the panel says, and list the differences."""
    identities = RaterIdentity.objects.filter(
        rater__provider=provider, rater__sessions__version__study=study
    ).distinct()
    raters = dict(identities.values_list("submission_key", "rater_id"))
    sessions: dict[Any, RaterSession] = {}
    for session in RaterSession.objects.filter(version__study=study, rater__provider=provider).order_by("started_at"):
        sessions[session.rater_id] = session
    found = Reconciliation()
    seen: set[str] = set()
    known: set[str] = set()
    for row in rows:
        if not row.submission or row.submission in seen:
            found.add("listed twice", row.submission, row.status, "look at the panel's list")
            continue
        seen.add(row.submission)
        keys = identity_keys(study, f"{provider} submission", row.submission)
        known.update(keys)
        session = next((sessions.get(raters[key]) for key in keys if key in raters), None)
        _store(study, provider, row, keys[0], session)
        _compare(row, session, found)
    for key, rater_id in raters.items():
        session = sessions.get(rater_id)
        if key not in known and session is not None and session.state == RaterSession.State.COMPLETED:
            found.add(
                "unknown to the panel", "", f"{session} is completed here", "ask the panel, or wait for its next export"
            )
    detail = {"provider": provider, "rows": len(rows), "differences": len(found.differences)}
    audit_record(study=study, actor=actor, action="reconcile", detail=detail)
    return found


def _store(study: Study, provider: str, row: PanelRow, key: str, session: RaterSession | None) -> None:
    PanelSubmission.objects.update_or_create(
        study=study,
        provider=provider,
        submission_key=key,
        defaults={"status": row.status, "code": row.code, "session": session},
    )


def _compare(row: PanelRow, session: RaterSession | None, found: Reconciliation) -> None:
    status = row.status.upper().replace("_", " ").replace("-", " ")
    is_done = status in {"APPROVED", "AWAITING REVIEW", "COMPLETED", "SUBMITTED"}
    if session is None:
        if is_done:
            found.add("never came", row.submission, row.status, "no session here: do not pay for it unseen, ask them")
        return
    completed = session.state == RaterSession.State.COMPLETED
    if is_done and not completed:
        answered = f"{session.answered_count} of {session.trial_count} trials answered, {session.state}"
        found.add("complete there, not here", row.submission, answered, "look at the session before you pay")
    elif completed and not is_done and status not in {"ACTIVE", "RESERVED"}:
        found.add("complete here, not there", row.submission, row.status, "pay by hand: the work was done")
    elif row.code and session.completion_code and row.code != session.completion_code:
        found.add("another code", row.submission, f"{row.code}, not {session.completion_code}", "look at the session")
    else:
        found.matched += 1


# Erasure --------------------------------------------------------------------------------------------------------------
