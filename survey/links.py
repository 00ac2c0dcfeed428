"""Addresses that rows turn into: those that leave the site, and those of images."""

from __future__ import annotations

import functools
import uuid
from typing import Any

from django.conf import settings
from django.urls import reverse

from survey.models import PersonalLink, RaterSession, Study
from survey.recruitment import provider_of, recruitment_problems
from survey.selectors.trial import NextTrial, trial_facts
from survey.tokens import NO_TRIAL, image_token, personal_link_token

__all__ = ["entry_link", "image_link", "personal_link", "rater_link", "trial_links"]


def rater_link(study: Study) -> str:
    """Return the address that raters open."""
    return settings.PUBLIC_URL + reverse("survey:landing", args=[study.slug])


def entry_link(study: Study) -> str:
    """Return the address to give away: where raters come from a panel, with the placeholders that it fills in."""
    link = rater_link(study)
    # A draft's settings may still be wrong: its link then has no placeholders.
    return link if recruitment_problems(study.recruitment) else provider_of(study.recruitment).entry_link(link)


def personal_link(study: Study, link: PersonalLink) -> str:
    """Return the address of one person's link."""
    return f"{rater_link(study)}?key={personal_link_token(link.pk)}"


@functools.lru_cache(maxsize=1)
def _image_folder() -> str:
    return reverse("survey:image", args=["-"]).removesuffix("-.webp")


def image_link(served: str, *, side: str, trial_id: uuid.UUID = NO_TRIAL) -> str:
    """Return the sealed address of an image; where it has several copies, of number 0, the largest."""
    token = image_token(served=served, trial_id=trial_id, side=side)
    return f"{_image_folder()}{token}.png" if served.endswith(".png") else f"{_image_folder()}{token}.0.webp"


def trial_links(trial: NextTrial, session: RaterSession) -> dict[str, Any]:
    """Return what a page may know of a trial: its facts, and the addresses of its images."""
    facts = trial_facts(trial, session)
    shown = [side for side in ("left", "right", "reference") if facts.get(side)]
    return facts | {side: image_link(facts[side], trial_id=trial.pk, side=side) for side in shown}
