"""Give and take roles in a study."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from survey.exceptions import LastOwner
from survey.models import Study, StudyMember
from survey.services.records.audit import audit_record

__all__ = ["member_remove", "member_set"]


def _refuse_without_owner(study: Study, *, leaving: Any) -> None:
    owners = StudyMember.objects.filter(study=study, role=StudyMember.Role.OWNER)
    if not owners.exclude(user=leaving).exists():
        raise LastOwner()


@transaction.atomic
def member_set(*, study: Study, user: Any, role: str, actor: Any) -> StudyMember:
    """Give a person a role, or change it. Raises LastOwner when nobody would own the study."""
    # Two owners who remove each other at the same time must not leave the study without one.
    Study.objects.select_for_update().get(pk=study.pk)
    if role != StudyMember.Role.OWNER:
        _refuse_without_owner(study, leaving=user)
    member = StudyMember.objects.filter(study=study, user=user).first() or StudyMember(study=study, user=user)
    member.role = role
    member.full_clean()
    member.save()
    audit_record(study=study, actor=actor, action="set role", detail={"user": str(user), "role": role})
    return member


@transaction.atomic
def member_remove(*, study: Study, user: Any, actor: Any) -> None:
    """Take a person's role away. Raises LastOwner when nobody would own the study."""
    # As above: the count of owners must not change under the check.
    Study.objects.select_for_update().get(pk=study.pk)
    _refuse_without_owner(study, leaving=user)
    if StudyMember.objects.filter(study=study, user=user).delete()[0]:
        audit_record(study=study, actor=actor, action="remove role", detail={"user": str(user)})
