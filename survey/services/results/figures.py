"""Figures of a study's networks, kept for its report; the newest drawing replaces the last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from survey.models import Study, StudyFigure
from survey.services.records.audit import audit_record

__all__ = ["study_figures_store"]


@transaction.atomic
def study_figures_store(*, study: Study, figures: Sequence[Mapping[str, Any]], actor: Any = None) -> int:
    """Replace the figures of a study; return how many there are now.

    ``figures`` holds ``name``, ``title``, ``description`` and ``files`` (format -> bytes), in the order of the report.
    Files are named by their digest. Old ones stay: a back-up that is being written may still name them.
    """
    # Two commands that end together must not leave figures of both.
    Study.objects.select_for_update().get(pk=study.pk)
    StudyFigure.objects.filter(study=study).delete()
    rows = [
        StudyFigure(
            study=study,
            place=place,
            **{key: figure[key] for key in ("name", "title", "description")},
            files={kind: _kept(study, kind, content) for kind, content in sorted(figure["files"].items())},
        )
        for place, figure in enumerate(figures)
    ]
    StudyFigure.objects.bulk_create(rows)
    audit_record(study=study, actor=actor, action="figures", detail={"figures": [row.name for row in rows]})
    return len(rows)


def _kept(study: Study, kind: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    name = f"figures/{study.pk}/{digest}.{kind}"
    if not default_storage.exists(name):
        name = default_storage.save(name, ContentFile(content))
    return {"name": name, "sha256": digest, "bytes": len(content)}
