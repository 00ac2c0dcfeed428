"""The ledger of exclusions: proposed by rules or by people, written as rows, taken back as rows, never deleted."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from survey.exceptions import ExclusionRefused
from survey.models import Exclusion, RaterSession, Study
from survey.services.records.audit import audit_record

__all__ = ["HAND", "Proposal", "exclusion_by_hand", "exclusion_revoke", "exclusions_apply"]

HAND = "hand"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A session that a rule would exclude, with what the rule measured."""

    session_id: uuid.UUID
    rule: str
    rule_version: int
    reason: str
    is_in_force: bool = False


@transaction.atomic
def exclusions_apply(*, study: Study, proposals: Iterable[Proposal], actor: Any) -> int:
    """Exclude the proposed sessions; return how many rows are new. What is in force already stays as it is."""
    # Two applications of the same rules must not both write what neither has seen in force.
    Study.objects.select_for_update().get(pk=study.pk)
    proposals = list(proposals)
    wanted = {proposal.session_id for proposal in proposals}
    own = set(RaterSession.objects.filter(version__study=study, pk__in=wanted).values_list("pk", flat=True))
    if strange := wanted - own:
        raise ExclusionRefused(f"{len(strange)} session(s) are of another study")
    live = set(
        Exclusion.objects.filter(session_id__in=wanted, revoked_at__isnull=True).values_list("session_id", "rule")
    )
    user = actor if getattr(actor, "pk", None) else None
    rows = [
        Exclusion(
            session_id=proposal.session_id,
            rule=proposal.rule,
            rule_version=proposal.rule_version,
            reason=proposal.reason[:300],
            made_by=user,
        )
        for proposal in proposals
        if (proposal.session_id, proposal.rule) not in live
    ]
    Exclusion.objects.bulk_create(rows, batch_size=500)
    if rows:
        counts: dict[str, int] = {}
        for row in rows:
            counts[f"{row.rule} v{row.rule_version}"] = counts.get(f"{row.rule} v{row.rule_version}", 0) + 1
        audit_record(study=study, actor=actor, action="exclude", detail=counts)
    return len(rows)


def exclusion_by_hand(*, study: Study, session_id: uuid.UUID, reason: str, actor: Any) -> None:
    """Exclude one session for a reason that no rule covers."""
    if not reason.strip():
        raise ExclusionRefused("Give the reason: it stands in the ledger and in the report.")
    proposal = Proposal(session_id=session_id, rule=HAND, rule_version=1, reason=reason.strip())
    if not exclusions_apply(study=study, proposals=[proposal], actor=actor):
        raise ExclusionRefused("This session is excluded by hand already.")


@transaction.atomic
def exclusion_revoke(*, exclusion: Exclusion, reason: str, actor: Any) -> Exclusion:
    """Take an exclusion back; the row stays with who did so and why."""
    if not reason.strip():
        raise ExclusionRefused("Give the reason: it stands in the ledger.")
    study = exclusion.session.version.study
    # The study before its row, in the order of all others: rules that are applied meanwhile must not deadlock.
    Study.objects.select_for_update().get(pk=study.pk)
    locked = Exclusion.objects.select_for_update().get(pk=exclusion.pk)
    if locked.revoked_at is not None:
        raise ExclusionRefused("This exclusion was taken back already.")
    locked.revoked_at, locked.revoke_reason = timezone.now(), reason.strip()[:300]
    locked.revoked_by = actor if getattr(actor, "pk", None) else None
    locked.save(update_fields=["revoked_at", "revoke_reason", "revoked_by"])
    detail = {"session": str(locked.session_id), "rule": locked.rule, "reason": locked.revoke_reason}
    audit_record(study=study, actor=actor, action="revoke exclusion", detail=detail)
    return locked
