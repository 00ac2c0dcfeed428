"""A visit as its pages need it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from survey.criteria import has_ties
from survey.exceptions import SessionUnknown
from survey.models import PairImage, RaterSession
from survey.renditions import rendition_sizes
from survey.selectors.copies import least_px_of, served_name, spoilt_images
from survey.selectors.version import frozen_config

__all__ = ["Example", "example_images", "session_get"]


@dataclass(frozen=True)
class Example:
    """A worked example: names of two images' copies with their sizes, and the answer that is explained."""

    class_name: str
    prompt: str
    left: str
    right: str
    sizes: list[tuple[int, int]]
    answer: str


def session_get(session_id: uuid.UUID) -> RaterSession:
    """Return the session. Raises SessionUnknown."""
    try:
        return RaterSession.objects.get(pk=session_id)
    except RaterSession.DoesNotExist:
        raise SessionUnknown from None


def example_images(session: RaterSession) -> list[Example]:
    """Return two examples, drawn alike for every version: a spoilt picture, and one picture twice."""
    config = frozen_config(session.version_id)
    images = list(spoilt_images(session.version, config).select_related("pair").order_by("-pk")[:2])
    if not images:
        return []
    first, second = images[0], images[-1]
    least_px = least_px_of(config)

    def example(image: PairImage, answer: str) -> Example:
        is_spoilt = answer == "right"
        right = served_name(config, image.pk, stored=image.served)
        return Example(
            class_name=image.pair.class_name,
            prompt=image.pair.prompt,
            left=served_name(config, image.pk, stored=image.degraded, is_spoilt=True) if is_spoilt else right,
            right=right,
            sizes=rendition_sizes(image.width, image.height, least_px=least_px),
            answer=answer,
        )

    return [example(first, "right"), example(second, "tie" if has_ties(config) else "guess")]
