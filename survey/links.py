"""Addresses that leave the site: in mails, printed links, panels and webhooks."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse

from survey.models import PersonalLink, Study
from survey.recruitment import provider_of, recruitment_problems
from survey.tokens import personal_link_token

__all__ = ["entry_link", "personal_link", "rater_link"]


def rater_link(study: Study) -> str:
    """Return the address that raters open."""
    return settings.PUBLIC_URL + reverse("survey:landing", args=[study.slug])


def entry_link(study: Study) -> str:
    """Return the address to give away: where raters come from a panel, with the placeholders that it fills in."""
    link = rater_link(study)
    return link if recruitment_problems(study.recruitment) else provider_of(study.recruitment).entry_link(link)


def personal_link(study: Study, link: PersonalLink) -> str:
    """Return the address of one person's link."""
    return f"{rater_link(study)}?key={personal_link_token(link.pk)}"
