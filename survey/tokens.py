"""Sealed tokens for addresses: unreadable, unforgeable, short, and understood without a query.

They are sealed by AES-SIV (RFC 5297), which needs no nonce: equal payloads give equal tokens, so an address that is
written again is the same, and the synthetic IV authenticates the payload.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import struct
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings

from survey.exceptions import TokenExpired, TokenInvalid

__all__ = [
    "ImageClaim",
    "image_claim_of",
    "image_token",
    "personal_link_id_of",
    "personal_link_token",
    "session_id_of",
    "session_token",
]

_TAG_BYTES = 16
# Trial, side, end of validity, and what is granted: the length and the digest of a version's one copy of an image, or
# no length and the folder of its copies, as image, setup and whether they are the spoilt ones.
_IMAGE = struct.Struct(">16scII32s")
_FOLDER = struct.Struct(">16s8s?7x")
NO_TRIAL = uuid.UUID(int=0)


@lru_cache(maxsize=16)
def _cipher(secret: str | bytes, purpose: str) -> AESSIV:
    """Return the cipher of a purpose, under a key of its own: a token of one passes for no other."""
    return AESSIV(hmac.digest(_bytes(secret), f"blindpair.survey.seal.{purpose}".encode(), hashlib.sha512))


def _bytes(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret


def _seal(payload: bytes, *, purpose: str) -> str:
    sealed = _cipher(settings.SECRET_KEY, purpose).encrypt(payload, None)
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _unseal(token: str, *, purpose: str, length: int) -> bytes:
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenInvalid from None
    # Base64 leaves bits of its last letter unused: only the one spelling that sealing gives is taken.
    is_canonical = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() == token
    if is_canonical and len(sealed) == _TAG_BYTES + length:
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
            with contextlib.suppress(InvalidTag):
                return _cipher(secret, purpose).decrypt(sealed, None)
            if payload := _unsealed_of_0_1(sealed, secret, purpose):
                return payload
    raise TokenInvalid


def _unsealed_of_0_1(sealed: bytes, secret: str | bytes, purpose: str) -> bytes | None:
    """Read a token that release 0.1 sealed by HMAC-SHA-256: visits and personal links last as long as their study."""
    authenticate, hide = (
        hmac.digest(_bytes(secret), f"blindpair.survey.{use}.{purpose}".encode(), hashlib.sha256)
        for use in ("authenticate", "hide")
    )
    tag, hidden = sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]
    blocks = range(-(-len(hidden) // hashlib.sha256().digest_size))
    stream = b"".join(hmac.digest(hide, tag + bytes([block]), hashlib.sha256) for block in blocks)
    payload = bytes(one ^ other for one, other in zip(hidden, stream, strict=False))
    is_ours = hmac.compare_digest(tag, hmac.digest(authenticate, payload, hashlib.sha256)[:_TAG_BYTES])
    return payload if is_ours else None


def session_token(session_id: uuid.UUID) -> str:
    """Return the secret part of the address at which a session is continued, on any device."""
    return _seal(session_id.bytes, purpose="session")


def session_id_of(token: str) -> uuid.UUID:
    """Return the session that a token stands for. Raises TokenInvalid."""
    return uuid.UUID(bytes=_unseal(token, purpose="session", length=16))


def personal_link_token(link_id: uuid.UUID) -> str:
    """Return the secret part of a personal link."""
    return _seal(link_id.bytes, purpose="personal link")


def personal_link_id_of(token: str) -> uuid.UUID:
    """Return the personal link that a token stands for. Raises TokenInvalid."""
    return uuid.UUID(bytes=_unseal(token, purpose="personal link", length=16))


@dataclass(frozen=True)
class ImageClaim:
    """What an image address grants, for one side of one trial, until a time: a folder of copies, or one PNG."""

    name: str
    trial: uuid.UUID
    side: str

    @property
    def is_folder(self) -> bool:
        """Whether the address says besides which of the copies it asks for."""
        return not self.name.endswith(".png")


def image_token(*, served: str, trial_id: uuid.UUID = NO_TRIAL, side: str, now: float | None = None) -> str:
    """Return the address part of an image's copies, another for each trial and side.

    ``served`` is ``served/SETUP/xx/IMAGE`` with an ``s`` behind it for spoilt copies, or, of a version frozen up to
    release 0.1, ``served/LENGTH/xx/SHA256.png``.
    """
    _, group, _, file = served.split("/")
    until = int((time.time() if now is None else now) + settings.RATER_IMAGE_SECONDS)
    if file.endswith(".png"):
        length, granted = int(group), bytes.fromhex(file.removesuffix(".png"))
    else:
        image = bytes.fromhex(file.removesuffix("s"))
        length, granted = 0, _FOLDER.pack(image, bytes.fromhex(group), file.endswith("s"))
    return _seal(_IMAGE.pack(trial_id.bytes, side[:1].encode(), until, length, granted), purpose="image")


def image_claim_of(token: str, *, now: float | None = None) -> ImageClaim:
    """Return what an image token grants. Raises TokenInvalid or TokenExpired."""
    trial, side, until, length, granted = _IMAGE.unpack(_unseal(token, purpose="image", length=_IMAGE.size))
    if until < (time.time() if now is None else now):
        raise TokenExpired
    if length:
        name = f"served/{length}/{granted.hex()[:2]}/{granted.hex()}.png"
    else:
        image, setup, is_spoilt = _FOLDER.unpack(granted)
        name = f"served/{setup.hex()}/{image.hex()[:2]}/{image.hex()}{'s' if is_spoilt else ''}"
    return ImageClaim(name=name, trial=uuid.UUID(bytes=trial), side=side.decode())
