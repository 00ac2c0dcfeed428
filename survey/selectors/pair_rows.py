"""The pairs of a study as rows of the pairs' table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from analysis.pairs.columns import TAG_SEPARATOR
from survey.models import ImagePair, Study, Trial

__all__ = ["pair_rows", "pairs_in_table"]


def pairs_in_table(study: Study) -> QuerySet[ImagePair]:
    """Return the pairs that take part, and those that did when they were voted on."""
    shown = Exists(Trial.objects.filter(pair=OuterRef("pk")))
    return ImagePair.objects.filter(Q(is_selected=True) | Q(shown), study=study)


def pair_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield one mapping a pair under the columns of the pairs' table, in the order of keys."""
    for pair in pairs_in_table(study).select_related("reference").order_by("key").iterator(chunk_size=1000):
        yield {
            "pair": str(pair.pk),
            "key": pair.key,
            "class_label": pair.class_label,
            "class_name": pair.class_name,
            "prompt": pair.prompt,
            "tags": TAG_SEPARATOR.join(pair.tags),
            "reference_sha256": pair.reference.sha256 if hasattr(pair, "reference") else "",
            "seed": pair.seed,
            "distance": pair.distance,
        }
