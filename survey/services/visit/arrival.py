"""Who comes to a study: known again by a keyed hash, named in a table that can be emptied."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest

from survey.exceptions import AlreadyTaken
from survey.models import Rater, RaterIdentity, RaterSession, Study
from survey.recruitment import Entry, provider_of
from survey.selectors.version import frozen_config, version_current

__all__ = ["arrival_of", "identity_keys", "rater_of"]


def identity_keys(study: Study, provider: str, panel_id: str) -> list[str]:
    """Return the keyed hashes under which a person may be stored, the present key's first.

    The study is part of the hash: nobody can be followed from one study to another by it.
    """
    message = f"{study.pk}\x00{provider}\x00{panel_id}".encode()
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    keys = [hmac.digest(str(secret).encode(), b"blindpair.survey.identity", hashlib.sha256) for secret in secrets]
    return [hmac.digest(key, message, hashlib.sha256).hex() for key in keys]


@transaction.atomic
def rater_of(*, study: Study, entry: Entry) -> Rater | None:
    """Return the pseudonym of who came, made on the first visit; None for an anonymous visit.

    Raises
    ------
    AlreadyTaken
        If the person is known, comes with another submission, and nothing proves that it is the same person: else a
        made-up address would open somebody's visit.
    """
    if not entry.person:
        return None
    keys = identity_keys(study, entry.provider, entry.person)
    rater = Rater.objects.filter(provider=entry.provider, provider_key__in=keys).first()
    if rater is None:
        rater, _ = Rater.objects.get_or_create(provider=entry.provider, provider_key=keys[0])
    submissions = identity_keys(study, f"{entry.provider} submission", entry.submission)
    facts = {
        "submission_key": submissions[0],
        "return_url": entry.return_url,
        "return_fields": dict(entry.return_fields),
    }
    identity, is_new = RaterIdentity.objects.get_or_create(rater=rater, defaults=facts)
    if not is_new and identity.submission_key not in submissions:
        has_finished = RaterSession.objects.filter(
            rater=rater, version__study=study, state__in=[RaterSession.State.COMPLETED, RaterSession.State.WITHDRAWN]
        ).exists()
        if has_finished or not entry.is_verified:
            raise AlreadyTaken
        RaterIdentity.objects.filter(pk=identity.pk).update(**facts)
    return rater


def arrival_of(*, study: Study, request: HttpRequest) -> dict[str, Any]:
    """Return what ``session_start`` needs to know about who came. Raises EntryRefused or AlreadyTaken."""
    version = version_current(study)
    if version is None:
        return {}
    entry = provider_of(frozen_config(version.pk)["recruitment"]).identify(request)
    return {"rater": rater_of(study=study, entry=entry), "is_entry_verified": entry.is_verified}
