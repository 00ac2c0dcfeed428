"""One link for everybody: nobody is known, and nobody is asked."""

from __future__ import annotations

from django.http import HttpRequest

from survey.recruitment.base import Entry, Provider

__all__ = ["OpenLink"]


class OpenLink(Provider):
    name = "open"
    ids = {}

    def identify(self, request: HttpRequest) -> Entry:
        return Entry(provider=self.name)
