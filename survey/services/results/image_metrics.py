"""Image metrics of a study's arms: kept per arm under the report's names, the newest evaluation replacing the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from survey.models import Arm, ImageMetric, Study
from survey.services.records.audit import audit_record

__all__ = ["image_metrics_store"]

_KEYS = {"value", "ci95", "n", "n_reference", "features", "reason"}


@transaction.atomic
def image_metrics_store(
    *,
    study: Study,
    results: Mapping[str, Mapping[str, Mapping[str, Any]]],
    reference: str,
    by_class: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]] | None = None,
    actor: Any = None,
) -> int:
    """Replace the metrics of the named arms; return how many rows they have now.

    ``results`` maps arm -> metric -> the report's ``M`` object, ``by_class`` arm -> class label -> metric -> ``M``;
    arms that are not named keep what they have.

    Raises
    ------
    ValueError
        If an arm is unknown, or a result is not an ``M`` object: it lacks a key, or has neither value nor reason.
    """
    # Two evaluations that end together replace the results one after the other, never half and half.
    arms = {arm.name: arm for arm in Arm.objects.select_for_update().filter(study=study)}
    by_class = by_class or {}
    named = set(results) | set(by_class)
    if unknown := sorted(named - set(arms)):
        raise ValueError(f"{study.slug} has no arm {', '.join(unknown)}; its arms are {', '.join(sorted(arms))}")
    parts = [(arm, "", metrics) for arm, metrics in results.items()]
    parts += [(arm, label, metrics) for arm, classes in by_class.items() for label, metrics in classes.items()]
    rows = [
        ImageMetric(
            arm=arms[arm],
            class_label=label,
            name=name,
            result=_checked(arm, name, result),
            reference=reference[:200],
        )
        for arm, label, metrics in parts
        for name, result in metrics.items()
    ]
    ImageMetric.objects.filter(arm__in=[arms[name] for name in named]).delete()
    ImageMetric.objects.bulk_create(rows)
    audit_record(
        study=study, actor=actor, action="image metrics", detail={"arms": sorted(named), "reference": reference}
    )
    return len(rows)


def _checked(arm: str, name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    if set(result) != _KEYS:
        raise ValueError(f"{name} of {arm} has keys {', '.join(sorted(result))}; expected {', '.join(sorted(_KEYS))}")
    if result["value"] is None and not result["reason"]:
        raise ValueError(f"{name} of {arm} has neither a value nor a reason")
    return dict(result)
