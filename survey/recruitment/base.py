"""What every provider answers, and what its answers hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.http import HttpRequest

from survey.models import RaterSession, Study

__all__ = ["OUTCOMES", "Completion", "Entry", "Provider"]

# How a visit can end; a panel's study has one completion code for each.
OUTCOMES = ("complete", "screen", "full", "withdrawn")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Who came. ``person`` and ``submission`` are the panel's ids; both are empty for an anonymous visit."""

    provider: str
    person: str = ""
    submission: str = ""
    is_verified: bool = False
    return_url: str = ""
    return_fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Where a finished visit goes: a link with ``url`` alone, a form that is posted there with ``fields``."""

    code: str
    url: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


class Provider:
    """A source of raters, made from a study's recruitment settings.

    Subclasses say who comes (:meth:`identify`) and where they go (:meth:`finish`).
    """

    name: ClassVar[str]
    settings_known: ClassVar[frozenset[str]] = frozenset(
        {"provider", "codes", "completion_url", "frame_ancestors", "form_action"}
    )

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    @classmethod
    def problems(cls, settings: Mapping[str, Any]) -> list[str]:
        """Return what keeps these settings from working, each with its remedy."""
        found = []
        if unknown := sorted(set(settings) - cls.settings_known):
            found.append(
                f"recruitment by {cls.name} has no setting {', '.join(unknown)}; it has "
                f"{', '.join(sorted(cls.settings_known))}"
            )
        codes = settings.get("codes") or {}
        if not isinstance(codes, dict) or not all(isinstance(code, str) and code for code in codes.values()):
            found.append('the completion codes are an object of texts, for example {"complete": "C1A2B3"}')
        elif strange := sorted(set(codes) - set(OUTCOMES)):
            found.append(f"there is no outcome {', '.join(strange)}; the outcomes are {', '.join(OUTCOMES)}")
        elif len(set(codes.values())) < len(codes):
            found.append("two outcomes have the same completion code; the panel could not tell them apart")
        url = settings.get("completion_url", "")
        if url and not (isinstance(url, str) and url.startswith("https://")):
            found.append("the completion address starts with https://")
        return found

    def defaults(self) -> Mapping[str, Any]:
        """Return the settings that this provider brings itself."""
        return {"provider": self.name}

    def entry_link(self, link: str) -> str:
        """Return the address to give to the panel."""
        return link

    @classmethod
    def person_of(cls, study: Study, name: str) -> str:
        """Return the ``person`` of an entry from the name by which a researcher knows them; empty for nobody."""
        return name

    def identify(self, request: HttpRequest) -> Entry:
        """Say who came. Raises EntryRefused when the address does not prove what this provider needs."""
        raise NotImplementedError

    def finish(self, session: RaterSession) -> Completion:
        """Say where the finished visit goes."""
        url = (self.settings.get("completion_url") or "").replace("{code}", session.completion_code)
        return Completion(code=session.completion_code, url=url)
