"""Limits on what strangers may try: passwords at the admin's door, and new visits from one network.

Rows in the database, as counts in a process' memory would multiply by the number of web processes and end with each.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone, translation
from django.utils.translation import ngettext

from config.models import Attempts

__all__ = ["Limit", "Throttle", "client_network"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limit:
    """At most ``most`` attempts of one subject in each span of ``seconds``."""

    name: str
    most: int
    seconds: int

    def _span(self) -> tuple[int, datetime]:
        number = int(timezone.now().timestamp()) // self.seconds
        return number, datetime.fromtimestamp((number + 1) * self.seconds, UTC)

    def _key(self, subject: str) -> str:
        message = f"{self.name}\x00{subject}\x00{self._span()[0]}".encode()
        return hmac.digest(settings.SECRET_KEY.encode(), b"blindpair.throttle." + message, hashlib.sha256).hex()

    def is_reached(self, subject: str) -> bool:
        """Return True once no more attempts are allowed; a limit of 0 allows any number."""
        return self.most > 0 and Attempts.objects.filter(key=self._key(subject), count__gte=self.most).exists()

    def count(self, subject: str) -> None:
        """Count one attempt."""
        if self.most <= 0:
            return
        row, is_new = Attempts.objects.get_or_create(key=self._key(subject), defaults={"ends_at": self._span()[1]})
        Attempts.objects.filter(pk=row.pk).update(count=F("count") + 1)
        if is_new:
            # Whoever opens a span sweeps out those that are over.
            Attempts.objects.filter(ends_at__lt=timezone.now() - timedelta(hours=1)).delete()

    def forget(self, subject: str) -> None:
        """Start again from nothing, after a success."""
        Attempts.objects.filter(key=self._key(subject)).delete()

    def seconds_left(self) -> int:
        return max(1, int((self._span()[1] - timezone.now()).total_seconds()))


def client_network(request: HttpRequest) -> str:
    """Return the address of the client, its /64 network for IPv6 (one person has all of that).

    ``PROXIES`` proxies in front are trusted: each adds the address it saw at the end of ``X-Forwarded-For``, and
    whatever stands before theirs is the client's own invention.
    """
    text = request.META.get("REMOTE_ADDR", "")
    if settings.PROXIES:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        if len(hops) >= settings.PROXIES:
            text = hops[-settings.PROXIES]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:64]
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 6 and mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(mapped or address)


class Throttle:
    """Refuse with 429 what has been tried too often. Put it after the session's and CSRF's middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return self.get_response(request)
        request.throttle_limits = []
        response = self.get_response(request)
        is_failed_login = response.status_code == 200
        for name, limit, subject in request.throttle_limits:
            if name == "admin:login":
                if is_failed_login:
                    limit.count(subject)
                elif response.status_code == 302 and limit.name != "password guesses from one network":
                    limit.forget(subject)
            elif not getattr(response, "is_rehearsal", False):
                limit.count(subject)
        return response

    def process_view(self, request: HttpRequest, view: object, args: tuple, kwargs: dict) -> HttpResponse | None:
        """Look up what applies to this address, and refuse before the view runs."""
        if request.method != "POST" or request.resolver_match is None:
            return None
        limits = list(_limits(request, request.resolver_match.view_name))
        for _, limit, subject in limits:
            if limit.is_reached(subject):
                log.warning("refused: more than %d %s in %d s", limit.most, limit.name, limit.seconds)
                return _refusal(request, limit)
        request.throttle_limits = limits
        return None


def _limits(request: HttpRequest, view_name: str) -> Iterable[tuple[str, Limit, str]]:
    network = client_network(request)
    if view_name == "admin:login":
        name = request.POST.get("username", "")[:150].casefold()
        quarter = 900
        yield view_name, Limit("password guesses for one name from one network", 5, quarter), f"{name}\x00{network}"
        yield view_name, Limit("password guesses from one network", 20, quarter), network
        # Against many networks at once. High, as anybody could lock a colleague out by reaching it.
        yield view_name, Limit("password guesses for one name", 100, 3600), name
    elif view_name == "survey:start":
        yield view_name, Limit("visits begun from one network", settings.STARTS_PER_HOUR, 3600), network
        # What one person can do to one study by an open link, which knows nobody.
        a_day = settings.STUDY_STARTS_PER_DAY if settings.STARTS_PER_HOUR else 0
        slug = request.resolver_match.kwargs["slug"]
        yield view_name, Limit("visits to one study from one network", a_day, 86_400), f"{slug}\x00{network}"


def _refusal(request: HttpRequest, limit: Limit) -> HttpResponse:
    minutes = -(-limit.seconds_left() // 60)
    chosen = request.POST.get("language", "")
    with translation.override(chosen if chosen in dict(settings.LANGUAGES) else request.LANGUAGE_CODE):
        text = ngettext(
            "Too many tries from here. Try again in %(n)s minute.",
            "Too many tries from here. Try again in %(n)s minutes.",
            minutes,
        ) % {"n": minutes}
        response = render(request, "survey/rater/message.html", {"text": text, "languages": []}, status=429)
    response.headers["Retry-After"] = str(limit.seconds_left())
    response.headers["Cache-Control"] = "no-store, private"
    return response
