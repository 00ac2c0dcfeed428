"""A visit as its pages need it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from survey.exceptions import SessionUnknown
from survey.models import PairImage, RaterSession
from survey.selectors.version import frozen_config

__all__ = ["Example", "example_images", "session_get"]


@dataclass(frozen=True)
class Example:
    """A worked example: stored names of two served copies, and the answer that is explained."""

    class_name: str
    left: str
    right: str
    answer: str


def session_get(session_id: uuid.UUID) -> RaterSession:
    """Return the session. Raises SessionUnknown."""
    try:
        return RaterSession.objects.get(pk=session_id)
    except RaterSession.DoesNotExist:
        raise SessionUnknown from None


def example_images(session: RaterSession) -> list[Example]:
    """Return two examples, drawn alike for every version: a spoilt picture, and one picture twice."""
    images = list(
        PairImage.objects.filter(pair__study__versions=session.version_id, pair__is_selected=True)
        .exclude(degraded="")
        .order_by("-pk")
        .values_list("pair__class_name", "served", "degraded")[:2]
    )
    if not images:
        return []
    (first_class, served, degraded), (second_class, same, _) = images[0], images[-1]
    has_ties = frozen_config(session.version_id)["trial"]["are_ties_allowed"]
    return [
        Example(class_name=first_class, left=degraded, right=served, answer="right"),
        Example(class_name=second_class, left=same, right=same, answer="tie" if has_ties else "guess"),
    ]
