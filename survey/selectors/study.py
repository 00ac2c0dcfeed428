"""Counts of many studies at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Max, Q

from survey.models import Arm, ImagePair, Slot, StudyVersion

__all__ = ["StudyCounts", "study_counts"]


@dataclass
class StudyCounts:
    """What a row of the list of studies shows."""

    arms: int = 0
    pairs: int = 0
    wanted: int = 0
    answered: int = 0


def study_counts(ids: Sequence[int]) -> dict[int, StudyCounts]:
    """Return the counts of each study from four grouped queries; wanted votes are those of the newest version."""
    counts = {pk: StudyCounts() for pk in ids}
    for pk, n in Arm.objects.filter(study_id__in=ids).values_list("study_id").annotate(n=Count("pk")).order_by():
        counts[pk].arms = n
    for pk, n in ImagePair.objects.filter(study_id__in=ids).values_list("study_id").annotate(n=Count("pk")).order_by():
        counts[pk].pairs = n
    numbers = StudyVersion.objects.filter(study_id__in=ids).values_list("study_id").annotate(last=Max("number"))
    newest = Q(pk__in=[])
    for pk, number in numbers.order_by():
        newest |= Q(study_id=pk, number=number)
    versions = dict(StudyVersion.objects.filter(newest).values_list("pk", "study_id"))
    rows = (
        Slot.objects.filter(version_id__in=versions, pool=Slot.Pool.MAIN)
        .values_list("version_id")
        .annotate(n=Count("pk"), done=Count("pk", filter=Q(is_answered=True)))
        .order_by()
    )
    for version_id, n, done in rows:
        counts[versions[version_id]].wanted = n
        counts[versions[version_id]].answered = done
    return counts
