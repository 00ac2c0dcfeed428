"""Personal links, what a panel says against what is stored here, and the erasure of a person."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from analysis.sheets.faults import BadTableError, Faults
from analysis.sheets.sheet import read_sheet
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


# Characters that the database keeps of each.
_LONGEST = {"submission": 200, "status": 40, "code": 40}


def panel_rows(content: bytes) -> list[PanelRow]:
    """Read a panel's export: CSV with a header, or JSON as the panel's API lists submissions.

    Raises
    ------
    BadPanelExport
        Naming the column that is missing, or the lines that say nothing of a submission.
    """
    faults = Faults("the panel's list")
    try:
        records = _panel_records(content, faults)
        columns = _panel_columns(records, faults)
        rows = [_panel_row(line, record, columns, faults) for line, record in records]
        faults.refuse()
    except BadTableError as error:
        raise BadPanelExport("; ".join(error.problems)) from None
    return rows


def _panel_records(content: bytes, faults: Faults) -> list[tuple[int, Mapping[str, Any]]]:
    if content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] not in {b"[", b"{"}:
        return list(read_sheet(content, file=faults.file).records())
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise faults.whole(f"cannot be read as JSON: {error}; download it again as CSV or JSON") from None
    records = data.get("results", []) if isinstance(data, dict) else data
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        raise faults.whole("holds something else than submissions; download it again as CSV or JSON")
    return list(enumerate(records, start=1))


def _panel_columns(records: list[tuple[int, Mapping[str, Any]]], faults: Faults) -> dict[str, str]:
    """Return the list's name of each column that it has."""
    if not records:
        raise faults.whole("lists no submission")
    names = {str(name).strip().lower(): name for _, record in records[:1] for name in record}
    known = {want: next((names[one] for one in ones if one in names), None) for want, ones in _COLUMNS.items()}
    for want in ("submission", "status"):
        if known[want] is None:
            raise faults.whole(f"has no column for the {want}; it has {', '.join(names)}")
    return {want: name for want, name in known.items() if name is not None}


def _panel_row(line: int, record: Mapping[str, Any], columns: Mapping[str, str], faults: Faults) -> PanelRow:
    cells = {want: str(record.get(name) or "").strip() for want, name in columns.items()}
    if not cells["submission"]:
        faults.add(line, columns["submission"], "is empty; give the submission, or remove the row", kind="empty")
    for want, text in cells.items():
        if len(text) > _LONGEST[want]:
            said = f"has {len(text)} characters; a panel gives {_LONGEST[want]} at most"
            faults.add(line, columns[want], said, kind="long")
    return PanelRow(**cells)


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
        if row.submission in seen:
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
