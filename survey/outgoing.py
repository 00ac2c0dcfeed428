"""Requests that leave this server: https to public addresses alone, no redirects, small answers, short waits.

Researchers choose webhook addresses. Without these rules such an address could reach the server's own network.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings

__all__ = ["OutgoingRefused", "outgoing_check", "outgoing_get", "outgoing_post"]

# A receiver that hangs must not hold a worker, nor a panel a visitor, for longer; no key set or answer is larger.
TIMEOUT_SECONDS = 10
MOST_BYTES = 1_000_000


class OutgoingRefused(Exception):
    """The address is not one that this server talks to, or it did not answer."""


def _public_addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OutgoingRefused(f"{host} cannot be resolved: {error}") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        _require_public(host, address)
    return addresses


def _require_public(host: str, address: str) -> None:
    bare = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(bare, "ipv4_mapped", None) or bare
    if host not in settings.OUTGOING_PRIVATE_HOSTS and (not mapped.is_global or mapped.is_multicast):
        raise OutgoingRefused(f"{host} is {address}, an address inside a private network; give a public one")


def outgoing_check(url: str) -> tuple[str, int, str]:
    """Return (host, port, path) of an address this server may talk to. Raises OutgoingRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise OutgoingRefused("the address cannot be read; write https://host/path") from None
    is_allowed = parts.hostname in settings.OUTGOING_PRIVATE_HOSTS
    if parts.scheme != "https" and not (is_allowed and parts.scheme == "http"):
        raise OutgoingRefused("only https:// addresses are allowed")
    if not parts.hostname or parts.username or parts.password:
        raise OutgoingRefused("the address needs a host and no user name; write https://host/path")
    if not is_allowed and port not in (None, 443):
        raise OutgoingRefused(f"port {port} is not allowed; use 443")
    # Of a name it is looked at when something is sent what it stands for.
    with contextlib.suppress(ValueError):
        _require_public(parts.hostname, parts.hostname)
    default = 443 if parts.scheme == "https" else 80
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port or default, path


def _request(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    host, port, path = outgoing_check(url)
    # The address that was checked is the one that is connected to: a second look-up could give another.
    address = _public_addresses(host, port)[0]
    connection: http.client.HTTPConnection
    if url.startswith("https:"):
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    connection._create_connection = lambda target, *args, **kwargs: socket.create_connection(
        (address, port), *args, **kwargs
    )
    try:
        connection.request(method, path, body=body, headers={"User-Agent": "Blindpair", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise OutgoingRefused(f"{host} did not answer: {error}") from None
    finally:
        connection.close()


def outgoing_get(url: str) -> bytes:
    """Return the body of an address. Raises OutgoingRefused unless it answers 200."""
    status, body = _request("GET", url, None, {"Accept": "application/json"})
    if status != 200:
        raise OutgoingRefused(f"the server answered {status}")
    return body


def outgoing_post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post JSON and return the status. Redirects are not followed: they could lead inside."""
    status, _ = _request("POST", url, body, {"Content-Type": "application/json", **headers})
    return status
