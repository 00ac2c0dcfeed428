"""Addresses that leave the site: in mails, printed links, panels and webhooks."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse

from survey.models import PersonalLink, Study
from survey.services.tokens import personal_link_token

__all__ = ["personal_link", "rater_link"]


def rater_link(study: Study) -> str:
    """Return the address that raters open."""
    return settings.PUBLIC_URL + reverse("survey:landing", args=[study.slug])


def personal_link(study: Study, link: PersonalLink) -> str:
    """Return the address of one person's link."""
    return f"{rater_link(study)}?key={personal_link_token(link.pk)}"
