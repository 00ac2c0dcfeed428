"""What every provider answers, and what its answers hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.http import HttpRequest

from survey.exceptions import PanelIdRefused
from survey.models import RaterSession, Study

__all__ = ["OUTCOMES", "Completion", "Entry", "Provider", "is_origin"]

# How a visit can end; a panel's study has one completion code for each.
OUTCOMES = ("complete", "screen", "full", "withdrawn")
_ORIGIN = re.compile(r"https://(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+(:\d{1,5})?", re.I)
# A panel that is tried on the rater's own machine: browsers trust these hosts without TLS, and nobody else is there.
_OWN_MACHINE = re.compile(r"http://(localhost|127\.0\.0\.1)(:\d{1,5})?", re.I)
_ADDRESS = re.compile(r"https://[^\s\x00-\x20\x7f\"'<>\\]+")
_LONGEST_CODE = 40
# An id of fewer different characters is padding, such as the zeros of a test.
_LEAST_VARIETY = 4


def is_origin(text: Any) -> bool:
    """Return whether a text is one origin, ``https://host``, and nothing that a policy would read as more."""
    if not isinstance(text, str) or len(text) > 200:
        return False
    return any(shape.fullmatch(text) for shape in (_ORIGIN, _OWN_MACHINE))


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

    # The ids that come in the address, and the shape of each; what else arrives there stands for nobody: a placeholder
    # that no panel filled in, or the word that some script writes for nothing. Two such people would be one to us.
    ids: ClassVar[Mapping[str, re.Pattern[str]]]
    ids_remedy: ClassVar[str] = ""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def require_shape(self, given: Mapping[str, str]) -> None:
        """Raise PanelIdRefused, which says what the researcher must fix, unless every id has its shape."""
        for name, shape in self.ids.items():
            value = given.get(name, "")
            if shape.fullmatch(value) is None or len(set(value)) < _LEAST_VARIETY:
                raise PanelIdRefused(name, value[:80], self.ids_remedy)

    @classmethod
    def faults(cls, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return (setting, what keeps it from working and its remedy)."""
        found = []
        if unknown := sorted(set(settings) - cls.settings_known):
            known = ", ".join(sorted(cls.settings_known))
            found.append(("provider", f"recruitment by {cls.name} has no setting {', '.join(unknown)}; it has {known}"))
        codes = settings.get("codes") or {}
        if not isinstance(codes, dict) or not all(
            isinstance(code, str) and 0 < len(code) <= _LONGEST_CODE and code.isprintable() for code in codes.values()
        ):
            found.append(
                (
                    "codes",
                    f"the completion codes are an object of texts of at most {_LONGEST_CODE} characters, for example "
                    '{"complete": "C1A2B3"}',
                )
            )
        elif strange := sorted(set(codes) - set(OUTCOMES)):
            found.append(("codes", f"there is no outcome {', '.join(strange)}; the outcomes are {', '.join(OUTCOMES)}"))
        elif len(set(codes.values())) < len(codes):
            found.append(("codes", "two outcomes have the same completion code; the panel could not tell them apart"))
        url = settings.get("completion_url", "")
        if url and not (isinstance(url, str) and _ADDRESS.fullmatch(url)):
            found.append(
                ("completion_url", "the completion address starts with https:// and holds no space or quotation mark")
            )
        for name in ("frame_ancestors", "form_action"):
            origins = settings.get(name) or []
            if not isinstance(origins, list) or len(origins) > 20 or not all(map(is_origin, origins)):
                found.append(
                    (name, f'{name} is a list of at most 20 origins, for example ["https://worker.mturk.com"]')
                )
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
