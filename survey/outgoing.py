"""Requests that leave this server: https to public addresses alone, no redirects, small answers, short waits.

Researchers choose webhook addresses. Without these rules such an address could reach the server's own network.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from django.conf import settings

__all__ = ["OutgoingRefused", "Target", "outgoing_check", "outgoing_get", "outgoing_post"]

# Of one step: connecting, one read, one write. No key set or answer of a receiver is larger than a megabyte.
TIMEOUT_SECONDS = 10
# Of the whole call: a receiver that sends a byte now and then would keep a worker for ever.
DEADLINE_SECONDS = 30
MOST_BYTES = 1_000_000

_UNICAST = ipaddress.ip_network("2000::/3")
# Networks whose addresses hold an IPv4 address in their last four bytes: translators and tunnels lead there.
_HOLDING_IPV4 = [
    ipaddress.ip_network(network) for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
]
# The same within the interface's half of any address (ISATAP).
_ISATAP = {0x00005EFE, 0x02005EFE}


class Target(NamedTuple):
    """Where a request goes; ``path`` is written in the letters of an address."""

    host: str
    port: int
    path: str
    is_tls: bool


class OutgoingRefused(Exception):
    """The address is not one that this server talks to, or it did not answer."""


def _public_addresses(host: str, port: int) -> list[str]:
    try:
        # Every address must be public: a name may stand for one outside and one inside.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OutgoingRefused(f"{host} cannot be resolved: {error}") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        _require_public(host, address)
    return addresses


def _require_public(host: str, address: str) -> None:
    # Without the zone of a link-local address, which says nothing of where it leads.
    bare = ipaddress.ip_address(address.split("%")[0])
    if host in settings.OUTGOING_PRIVATE_HOSTS or _is_public(bare):
        return
    raise OutgoingRefused(f"{host} is {address}, an address inside a private network; give a public one")


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    inner = list(_embedded(address))
    if any(address in network for network in _HOLDING_IPV4):
        return all(map(_is_public, inner))
    return address in _UNICAST and address.is_global and all(map(_is_public, inner))


def _embedded(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address stands for or leads through."""
    last = int(address) & 0xFFFFFFFF
    if any(address in network for network in _HOLDING_IPV4) or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(last)
    if address.sixtofour is not None:
        yield address.sixtofour
    yield from address.teredo or ()


def outgoing_check(url: str) -> Target:
    """Return the target of an address this server may talk to. Raises OutgoingRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        host.encode("idna")
    except ValueError:
        raise OutgoingRefused("the address cannot be read; write https://host/path") from None
    is_allowed = host in settings.OUTGOING_PRIVATE_HOSTS
    # Plain http is for hosts that the operator named, such as one in the same network.
    if parts.scheme != "https" and not (is_allowed and parts.scheme == "http"):
        raise OutgoingRefused("only https:// addresses are allowed")
    if not host or parts.username is not None or parts.password is not None:
        raise OutgoingRefused("the address needs a host and no user name; write https://host/path")
    if any(not letter.isprintable() or letter.isspace() for letter in url):
        raise OutgoingRefused("the address holds a space or a letter that cannot be seen; write https://host/path")
    # Other ports lead to other services, some of which act on what an HTTP request happens to say.
    if not is_allowed and port not in (None, 443):
        raise OutgoingRefused(f"port {port} is not allowed; use 443")
    # Of a name it is looked at when something is sent what it stands for.
    with contextlib.suppress(ValueError):
        _require_public(host, host)
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host, port or (443 if is_tls else 80), quote(path, safe="/?&=%:@!$'()*+,;~-._[]"), is_tls)


class _Call:
    """One request under a deadline for the whole of it, name look-up aside."""

    def __init__(self, target: Target) -> None:
        self._target = target
        # The address that was checked is the one that is connected to: a second look-up could give another.
        self._address = _public_addresses(target.host, target.port)[0]
        self._timer = threading.Timer(DEADLINE_SECONDS, self._cut)
        self._timer.daemon = True
        # A copy of the connection's descriptor: TLS takes over the socket itself.
        self._line: socket.socket | None = None
        self._is_cut = False

    def _connected(self, target: tuple[str, int], *args: object, **kwargs: object) -> socket.socket:
        self._timer.start()
        made = socket.create_connection((self._address, self._target.port), *args, **kwargs)
        self._line = made.dup()
        return made

    def _cut(self) -> None:
        self._is_cut = True
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def send(self, method: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        target, options = self._target, {"timeout": TIMEOUT_SECONDS}
        connection: http.client.HTTPConnection
        if target.is_tls:
            connection = http.client.HTTPSConnection(
                target.host, target.port, context=ssl.create_default_context(), **options
            )
        else:
            connection = http.client.HTTPConnection(target.host, target.port, **options)
        connection._create_connection = self._connected
        try:
            connection.request(method, target.path, body=body, headers={"User-Agent": "Blindpair", **headers})
            answer = connection.getresponse()
            # No more than that is read, whatever length the answer claims.
            content = answer.read(MOST_BYTES)
            if self._is_cut:
                raise TimeoutError("too slow")
            return answer.status, content
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"not within {DEADLINE_SECONDS} s" if self._is_cut else str(error)
            raise OutgoingRefused(f"{target.host} did not answer: {why}") from None
        finally:
            self._timer.cancel()
            if self._line is not None:
                self._line.close()
            connection.close()


def outgoing_get(url: str) -> bytes:
    """Return the body of an address. Raises OutgoingRefused unless it answers 200."""
    status, body = _Call(outgoing_check(url)).send("GET", None, {"Accept": "application/json"})
    if status != 200:
        raise OutgoingRefused(f"the server answered {status}")
    return body


def outgoing_post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Post JSON and return the status. Redirects are not followed: they could lead inside."""
    status, _ = _Call(outgoing_check(url)).send("POST", body, {"Content-Type": "application/json", **headers})
    return status
