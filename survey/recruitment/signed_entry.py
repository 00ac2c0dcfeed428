"""Check a signed entry token (JWT, RS256) against a published key set.

PyJWT checks the token. Its key client would fetch the keys past our guards of addresses, into a cache of each process:
ours fetches with them, into the cache that all processes share.
"""

from __future__ import annotations

import json
from typing import Any

import jwt
from django.core.cache import cache

from survey.exceptions import EntryRefused
from survey.outgoing import OutgoingRefused, outgoing_get

__all__ = ["claims_of"]

# Panels change their keys a few times a year and publish a new one before they use it.
KEY_SECONDS = 86_400
# A made-up key id must not make this server ask the panel at each request.
RETRY_SECONDS = 60
# How far the clocks of the panel and of this server may be apart.
_LEEWAY_SECONDS = 60
_REFUSED = "The link's signature is not valid. Open the study from the panel again."
_OPTIONS = {
    "require": ["aud", "exp"],
    # Claims that nothing here reads: a panel may write them as it likes.
    "verify_iat": False,
    "verify_jti": False,
    "verify_sub": False,
    "enforce_minimum_key_length": True,
}


def _key_set(address: str, *, is_fresh: bool = False) -> dict[str, Any]:
    """Return the published key set, fetched at most once a day, or once a minute for a key id that is not in it."""
    known = cache.get(f"key-set:{address}")
    if known is not None and not (is_fresh and cache.add(f"key-set-retry:{address}", True, RETRY_SECONDS)):
        return known
    try:
        fetched = json.loads(outgoing_get(address))
        jwt.PyJWKSet.from_dict(fetched)
    except (OutgoingRefused, ValueError, AttributeError, jwt.PyJWTError):
        # Old keys are better than none: the panel may be away for a moment.
        if known is not None:
            return known
        raise EntryRefused("The panel's keys cannot be read at the moment. Try again in a minute.") from None
    cache.set(f"key-set:{address}", fetched, KEY_SECONDS)
    return fetched


def _key(address: str, key_id: str) -> jwt.PyJWK:
    # A key that is not known may be a new one: once more with keys fetched now.
    for is_fresh in (False, True):
        for key in jwt.PyJWKSet.from_dict(_key_set(address, is_fresh=is_fresh)).keys:
            is_for_signing = key.algorithm_name == "RS256" and key.public_key_use in ("sig", None)
            if key.key_id == key_id and is_for_signing:
                return key
    raise EntryRefused(_REFUSED)


def claims_of(token: str, *, key_set: str, audience: str) -> dict[str, Any]:
    """Return the claims of a token whose signature, expiry and audience hold.

    Raises
    ------
    EntryRefused
        For any flaw, with one message: a forger learns nothing.
    """
    # Panels write an audience as a host or as an address, with or without the last slash.
    meant_for = [f"{scheme}{audience}{slash}" for scheme in ("", "https://") for slash in ("", "/")]
    try:
        key = _key(key_set, jwt.get_unverified_header(token)["kid"])
        # The algorithm is ours to choose, never the token's: "none" and HMAC with a public key are old tricks.
        return jwt.decode(token, key, ["RS256"], _OPTIONS, audience=meant_for, leeway=_LEEWAY_SECONDS)
    except (jwt.ExpiredSignatureError, jwt.InvalidAudienceError):
        raise EntryRefused(
            "The link has expired or is meant for another site. Open the study from the panel again."
        ) from None
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError):
        raise EntryRefused(_REFUSED) from None
