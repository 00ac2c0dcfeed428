"""Bearer tokens: made once, stored as digests, checked on every call."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from survey.models import ApiToken

__all__ = ["token_create", "token_find", "token_revoke"]

_PREFIX = "bp_"
_TOUCH = timedelta(minutes=1)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token_create(*, user: Any, name: str, scopes: Iterable[str], days: int | None = None) -> tuple[str, ApiToken]:
    """Return a new token, to be shown once, and its row."""
    scopes = sorted(set(scopes))
    if unknown := sorted(set(scopes) - set(ApiToken.Scope.values)):
        raise ValueError(f"there is no scope {', '.join(unknown)}; the scopes are {', '.join(ApiToken.Scope.values)}")
    token = _PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=token[:8],
        sha256=_digest(token),
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )
    return token, row


def token_find(token: str) -> ApiToken | None:
    """Return the row of a token that is good now, and note that it was used."""
    now = timezone.now()
    # Found by its digest: the time that takes tells nothing of how near a guess was.
    row = ApiToken.objects.select_related("user").filter(sha256=_digest(token), revoked_at__isnull=True).first()
    if row is None or not row.user.is_active or (row.expires_at is not None and row.expires_at <= now):
        return None
    # Once a minute: a write at every call would cost more than the call.
    if row.last_used_at is None or now - row.last_used_at > _TOUCH:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row


def token_revoke(*, token: ApiToken) -> None:
    """Make a token useless from now on."""
    ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
