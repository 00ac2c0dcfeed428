"""What a frozen version says. It never changes, so a process reads it once."""

from __future__ import annotations

import itertools
import uuid
from functools import lru_cache
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef

from survey.geometry import Room
from survey.models import Arm, PairImage, Slot, Study, StudyVersion

__all__ = [
    "comparisons_of",
    "frozen_class_sizes",
    "frozen_config",
    "frozen_plan",
    "frozen_room",
    "is_plan_complete",
    "version_current",
]


@lru_cache(maxsize=64)
def frozen_config(version_id: uuid.UUID) -> dict[str, Any]:
    """Return the frozen configuration. Treat it as read-only."""
    return StudyVersion.objects.values_list("config", flat=True).get(pk=version_id)


def frozen_plan(version_id: uuid.UUID) -> dict[str, Any]:
    """Return the frozen trial plan."""
    return frozen_config(version_id)["plan"]


@lru_cache(maxsize=64)
def frozen_room(version_id: uuid.UUID) -> Room:
    """Return what the version asks of a window. One frozen up to release 0.1 does not say how large its images are."""
    config = frozen_config(version_id)
    frame = (0, 0) if "images" in config else _frame(version_id)
    return Room.of(config, frame=frame)


def _frame(version_id: uuid.UUID) -> tuple[int, int]:
    images = PairImage.objects.filter(pair__study__versions=version_id, pair__is_selected=True)
    size = images.aggregate(width=Max("width"), height=Max("height"))
    return size["width"] or 0, size["height"] or 0


@lru_cache(maxsize=64)
def frozen_class_sizes(version_id: uuid.UUID) -> dict[str, int]:
    """Return how many of the slots that are given out first each class has. Treat it as read-only."""
    first = Slot.objects.filter(version=version_id, pool=Slot.Pool.MAIN, is_answered__in=[False, True], index=0)
    return dict(first.values("pair__class_label").annotate(n=Count("pk")).values_list("pair__class_label", "n"))


def version_current(study: Study) -> StudyVersion | None:
    """Return the newest version, the one that raters get."""
    return study.versions.order_by("-number").first()


def is_plan_complete(study: Study) -> bool:
    """Return whether every vote that the current version plans is in."""
    slots = Slot.objects.filter(version=OuterRef("pk"), pool=Slot.Pool.MAIN)
    asked = study.versions.order_by("-number").annotate(
        is_planned=Exists(slots), is_open=Exists(slots.filter(is_answered=False))
    )
    return asked.values_list("is_planned", "is_open").first() == (True, False)


def comparisons_of(study: Study) -> list[tuple[Arm, Arm]]:
    """Return the comparisons of the trial plan, each as (arm_a, arm_b) in the order of names."""
    arms = list(study.arms.order_by("name"))
    comparisons = itertools.combinations(arms, 2)
    if study.comparisons == Study.Comparisons.BASELINE:
        return [comparison for comparison in comparisons if study.baseline in comparison]
    return list(comparisons)
