"""Where raters come from. A provider is one small class: who is it that comes, and where do they go at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survey.recruitment.base import Completion, Entry, Provider, is_origin
from survey.recruitment.mturk import MTurk
from survey.recruitment.open_link import OpenLink
from survey.recruitment.personal import PersonalLinks
from survey.recruitment.prolific import Prolific

__all__ = [
    "PROVIDERS",
    "Completion",
    "Entry",
    "Provider",
    "is_origin",
    "provider_of",
    "recruitment_faults",
    "recruitment_frozen",
    "recruitment_problems",
]

PROVIDERS: dict[str, type[Provider]] = {kind.name: kind for kind in (OpenLink, PersonalLinks, Prolific, MTurk)}


def provider_of(settings: Mapping[str, Any]) -> Provider:
    """Return the provider that a study's recruitment settings name; the open link when they name none."""
    return PROVIDERS[settings.get("provider") or OpenLink.name](settings)


def recruitment_faults(settings: Any) -> list[tuple[str, str]]:
    """Return (setting, what is wrong with it and its remedy) for recruitment settings."""
    if not isinstance(settings, dict):
        return [("provider", 'the recruitment settings are not an object; write {"provider": "open"}')]
    name = settings.get("provider") or OpenLink.name
    if not isinstance(name, str) or name not in PROVIDERS:
        return [("provider", f"there is no recruitment provider {name!r}; the providers are {', '.join(PROVIDERS)}")]
    return PROVIDERS[name].faults(settings)


def recruitment_problems(settings: Any) -> list[str]:
    """Return what is wrong with recruitment settings, each with its remedy."""
    return [text for _, text in recruitment_faults(settings)]


def recruitment_frozen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the provider's own values filled in, as a version stores them."""
    return dict(provider_of(settings).defaults()) | dict(settings)
