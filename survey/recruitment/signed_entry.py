"""Check a signed entry token (JWT, RS256) against a published key set."""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from django.core.cache import cache

from survey.exceptions import EntryRefused
from survey.outgoing import OutgoingRefused, outgoing_get

__all__ = ["claims_of"]

KEY_SECONDS = 86_400
RETRY_SECONDS = 60
_LEEWAY_SECONDS = 60
_REFUSED = "The link's signature is not valid. Open the study from the panel again."


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _number(part: str) -> int:
    return int.from_bytes(_decoded(part), "big")


def _keys(address: str, *, is_fresh: bool = False) -> dict[str, dict[str, str]]:
    """Return the key set by key id, fetched at most once a day, or once a minute for a key id that is not in it."""
    known = cache.get(f"keys:{address}")
    if known is not None and not (is_fresh and cache.add(f"keys-retry:{address}", True, RETRY_SECONDS)):
        return known
    try:
        keys = json.loads(outgoing_get(address)).get("keys", [])
        known = {key["kid"]: key for key in keys if key.get("kty") == "RSA" and key.get("alg", "RS256") == "RS256"}
    except (OutgoingRefused, ValueError, KeyError, AttributeError):
        if known is not None:
            return known
        raise EntryRefused("The panel's keys cannot be read at the moment. Try again in a minute.") from None
    cache.set(f"keys:{address}", known, KEY_SECONDS)
    return known


def claims_of(token: str, *, key_set: str, audience: str, now: float | None = None) -> dict[str, Any]:
    """Return the claims of a token whose signature, expiry and audience hold.

    Raises
    ------
    EntryRefused
        For any flaw, with one message: a forger learns nothing.
    """
    try:
        head, body, signature = token.split(".")
        header, claims, raw = json.loads(_decoded(head)), json.loads(_decoded(body)), _decoded(signature)
        # The algorithm is ours to choose, never the token's: "none" and HMAC with a public key are old tricks.
        if header["alg"] != "RS256":
            raise EntryRefused(_REFUSED)
        key = _keys(key_set).get(header["kid"]) or _keys(key_set, is_fresh=True).get(header["kid"])
        if key is None:
            raise EntryRefused(_REFUSED)
        public = RSAPublicNumbers(e=_number(key["e"]), n=_number(key["n"])).public_key()
        public.verify(raw, f"{head}.{body}".encode(), PKCS1v15(), SHA256())
        moment = time.time() if now is None else now
        meant_for = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        hosts = {str(one).removeprefix("https://").rstrip("/") for one in meant_for}
        if float(claims["exp"]) < moment - _LEEWAY_SECONDS or audience not in hosts:
            raise EntryRefused(
                "The link has expired or is meant for another site. Open the study from the panel again."
            )
        if float(claims.get("nbf", 0)) > moment + _LEEWAY_SECONDS:
            raise EntryRefused(_REFUSED)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, InvalidSignature):
        raise EntryRefused(_REFUSED) from None
    return claims
