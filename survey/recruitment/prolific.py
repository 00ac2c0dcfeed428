"""Prolific: ids in the address, proved by a signed entry token where the study asks for it, and a code per outcome.

The token is a JWT (RS256). Checked are its signature by the key that it names, its expiry, that it was made for this
site, and that the ids in its ``prolific`` claim are the ones used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings as site
from django.http import HttpRequest

from survey.exceptions import EntryRefused
from survey.recruitment.base import Entry, Provider
from survey.recruitment.signed_entry import claims_of

__all__ = ["Prolific"]

KEY_SET = "https://api.prolific.com/.well-known/study/jwks.json"
COMPLETION = "https://app.prolific.com/submissions/complete?cc={code}"
# Prolific's ids are 24 hexadecimal digits.
_ID = re.compile("[0-9a-f]{24}", re.I)
_IDS = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
_TOKEN = "prolific_token"


class Prolific(Provider):
    name = "prolific"
    ids = dict.fromkeys(_IDS, _ID)
    ids_remedy = (
        "In Prolific, enter the study's address from the page Recruitment as it stands there, with "
        "{{%PROLIFIC_PID%}}, {{%STUDY_ID%}} and {{%SESSION_ID%}} in it: Prolific fills them in for each participant."
    )
    settings_known = Provider.settings_known | {"study_id", "is_signed"}

    @classmethod
    def faults(cls, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        found = super().faults(settings)
        codes = settings.get("codes")
        if not isinstance(codes, dict) or "complete" not in codes:
            found.append(("codes", "Prolific needs a completion code at least for the outcome complete"))
        if not isinstance(settings.get("study_id") or "", str):
            found.append(("study_id", "study_id is the text by which Prolific names the study, 24 hexadecimal digits"))
        if not isinstance(settings.get("is_signed", True), bool):
            found.append(("is_signed", "is_signed is true or false"))
        return found

    def defaults(self) -> Mapping[str, Any]:
        return {"provider": self.name, "completion_url": COMPLETION, "is_signed": True}

    def entry_link(self, link: str) -> str:
        ids = {name: f"{{{{%{name}%}}}}" for name in _IDS}
        return f"{link}?{urlencode(ids, safe='{}%')}"

    def identify(self, request: HttpRequest) -> Entry:
        """Read the ids from the signed token, or from the address where the study takes unsigned entries."""
        given = {name: request.GET.get(name, "") for name in _IDS}
        is_verified = False
        if token := request.GET.get(_TOKEN, ""):
            claims = claims_of(token, key_set=KEY_SET, audience=urlsplit(site.PUBLIC_URL).netloc)
            signed = {name.upper(): str(value) for name, value in dict(claims.get("prolific") or {}).items()}
            # Ids beside the token must be its own, or one signature would do for many people.
            if any(given[name] and given[name] != signed.get(name) for name in _IDS):
                raise EntryRefused("The ids in the link are not the signed ones. Open the study from Prolific again.")
            # From here on what was signed, and nothing of the address.
            given = {name: signed.get(name, "") for name in _IDS}
            is_verified = True
        elif self.settings.get("is_signed", True):
            raise EntryRefused("The link misses its signature. Open the study from Prolific again.")
        self.require_shape(given)
        expected = self.settings.get("study_id")
        if expected and given["STUDY_ID"] != expected:
            raise EntryRefused("The link belongs to another study. Open the study from Prolific again.")
        return Entry(
            provider=self.name,
            person=given["PROLIFIC_PID"],
            submission=given["SESSION_ID"],
            is_verified=is_verified,
        )
