"""Image metrics of a study's arms, kept under the report's names; the newest evaluation replaces the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q

from survey.models import Arm, ImageMetric, Study
from survey.services.records.audit import audit_record

__all__ = ["image_metrics_store"]

_KEYS = {"value", "ci95", "n", "n_reference", "features", "reason"}
# What a difference says besides: whose it is, and of how many seeds.
_PLACE = {"arm", "baseline", "metric", "class_label", "pairs"}

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


@transaction.atomic
def image_metrics_store(
    *,
    study: Study,
    results: Results,
    reference: str,
    by_class: Mapping[str, Results] | None = None,
    seen: Results | None = None,
    differences: Sequence[Mapping[str, Any]] = (),
    actor: Any = None,
) -> int:
    """Replace the metrics of the named arms; return how many rows they have now.

    ``results`` maps arm -> metric -> the report's ``M`` object, ``by_class`` arm -> class label -> metric -> ``M``,
    ``seen`` arm -> metric -> ``M`` of the pairs that raters saw; ``differences`` are those of the report. Arms that are
    not named keep what they have, but no difference to an arm that is measured anew.

    Raises
    ------
    ValueError
        If an arm is unknown, or a result is not an ``M`` object: it lacks a key, or has neither value nor reason.
    """
    # Two evaluations that end together replace the results one after the other, never half and half.
    arms = {arm.name: arm for arm in Arm.objects.select_for_update().filter(study=study)}
    named = set(results) | set(by_class or {}) | set(seen or {})
    named |= {entry[side] for entry in differences for side in ("arm", "baseline")}
    if unknown := sorted(named - set(arms)):
        raise ValueError(f"{study.slug} has no arm {', '.join(unknown)}; its arms are {', '.join(sorted(arms))}")
    rows = [*_metrics(arms, results, by_class or {}, seen or {}), *_differences(arms, differences)]
    for row in rows:
        row.reference = reference[:200]
    replaced = [arms[name] for name in named]
    ImageMetric.objects.filter(Q(arm__in=replaced) | Q(baseline__in=replaced)).delete()
    ImageMetric.objects.bulk_create(rows)
    audit_record(
        study=study, actor=actor, action="image metrics", detail={"arms": sorted(named), "reference": reference}
    )
    return len(rows)


def _metrics(
    arms: Mapping[str, Arm], results: Results, by_class: Mapping[str, Results], seen: Results
) -> Iterator[ImageMetric]:
    parts = [(arm, "", False, metrics) for arm, metrics in results.items()]
    parts += [(arm, label, False, found) for arm, classes in by_class.items() for label, found in classes.items()]
    parts += [(arm, "", True, metrics) for arm, metrics in seen.items()]
    for arm, label, is_seen, metrics in parts:
        for name, result in metrics.items():
            checked = _checked(f"{name} of {arm}", result, _KEYS)
            yield ImageMetric(arm=arms[arm], class_label=label, is_of_pairs_seen=is_seen, name=name, result=checked)


def _differences(arms: Mapping[str, Arm], differences: Sequence[Mapping[str, Any]]) -> Iterator[ImageMetric]:
    for entry in differences:
        told = f"{entry['metric']} of {entry['arm']} less {entry['baseline']}"
        rest = {key: value for key, value in entry.items() if key not in _PLACE}
        yield ImageMetric(
            arm=arms[entry["arm"]],
            baseline=arms[entry["baseline"]],
            class_label=entry["class_label"],
            is_of_pairs_seen=entry["pairs"] == "seen",
            name=entry["metric"],
            result=_checked(told, rest, _KEYS | {"n_seeds"}),
        )


def _checked(told: str, result: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    if set(result) != keys:
        raise ValueError(f"{told} has keys {', '.join(sorted(result))}; expected {', '.join(sorted(keys))}")
    if result["value"] is None and not result["reason"]:
        raise ValueError(f"{told} has neither a value nor a reason")
    return dict(result)
