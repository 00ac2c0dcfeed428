"""A link for each person: sealed, so that nobody can make one up, and good for one rater on any device."""

from __future__ import annotations

from django.http import HttpRequest

from survey.exceptions import EntryRefused, TokenInvalid
from survey.models import PersonalLink, Study
from survey.recruitment.base import Entry, Provider
from survey.tokens import personal_link_id_of

__all__ = ["PersonalLinks"]


class PersonalLinks(Provider):
    name = "personal"
    # The key of a link is sealed: nobody can make one up.
    ids = {}

    @classmethod
    def person_of(cls, study: Study, name: str) -> str:
        """Find a link by its number, such as 1-12: nobody is shown its id."""
        batch, _, number = name.partition("-")
        if not (batch.isdecimal() and number.isdecimal() and len(name) < 16):
            return ""
        link = PersonalLink.objects.filter(study=study, batch=int(batch), number=int(number)).first()
        return str(link.pk) if link else ""

    def identify(self, request: HttpRequest) -> Entry:
        try:
            link = PersonalLink.objects.filter(pk=personal_link_id_of(request.GET.get("key", ""))).first()
        except TokenInvalid:
            link = None
        slug = request.resolver_match.kwargs.get("slug") if request.resolver_match else None
        # One answer for all: a stranger must not learn which links exist.
        if link is None or link.is_revoked or link.study.slug != slug:
            raise EntryRefused("This study is by invitation. Open the whole link that you were given.")
        return Entry(provider=self.name, person=str(link.pk), submission=str(link.pk), is_verified=True)
