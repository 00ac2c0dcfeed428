"""Personal links: made in batches, revoked one by one."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max

from survey.models import (
    PersonalLink,
    Study,
)
from survey.services.records.audit import audit_record

__all__ = ["MOST_LINKS", "personal_link_revoke", "personal_links_create"]

# A batch is made within one request, and no study is printed on more slips than this.
MOST_LINKS = 10_000


@transaction.atomic
def personal_links_create(*, study: Study, count: int, actor: Any) -> list[PersonalLink]:
    """Make a batch of personal links."""
    if not 1 <= count <= MOST_LINKS:
        raise ValueError(f"a batch has 1 to {MOST_LINKS} links, not {count}")
    # Batches are numbered: two that are made together must not get one number.
    Study.objects.select_for_update().get(pk=study.pk)
    batch = (study.personal_links.aggregate(last=Max("batch"))["last"] or 0) + 1
    links = [PersonalLink(study=study, batch=batch, number=number) for number in range(1, count + 1)]
    PersonalLink.objects.bulk_create(links, batch_size=1000)
    audit_record(study=study, actor=actor, action="make personal links", detail={"batch": batch, "count": count})
    return links


@transaction.atomic
def personal_link_revoke(*, link: PersonalLink, actor: Any) -> None:
    """Close a personal link; a visit that it opened goes on."""
    PersonalLink.objects.filter(pk=link.pk).update(is_revoked=True)
    audit_record(study=link.study, actor=actor, action="revoke personal link", detail={"link": str(link)})
