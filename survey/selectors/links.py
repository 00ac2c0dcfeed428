"""The personal links of a study, by batch."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet

from survey.models import Study

__all__ = ["link_batches"]


def link_batches(study: Study) -> QuerySet:
    """Return {batch, count, revoked} of each batch, the newest first."""
    rows = study.personal_links.order_by("-batch").values("batch")
    return rows.annotate(count=Count("pk"), revoked=Count("pk", filter=Q(is_revoked=True)))
