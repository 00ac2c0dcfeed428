"""What every response gets: a request id for the logs, its duration in the metrics, and the security policy."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, ResolverMatch, resolve

from config.logs import log_context
from config.metrics import observe_request

__all__ = ["ContentSecurityPolicy", "CookieFree", "RefuseNulls", "RequestMeasure"]

View = Callable[[HttpRequest], HttpResponse]


class RequestMeasure:
    """Give the request an id of our own making (a client's could be forged into the logs) and time it."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = log_context.set(f"request-{uuid.uuid4().hex[:12]}")
        start = time.perf_counter()
        try:
            response = self.get_response(request)
            route = request.resolver_match.route if request.resolver_match else "none"
            observe_request(request.method or "", route, response.status_code, time.perf_counter() - start)
            return response
        finally:
            log_context.reset(token)


class ContentSecurityPolicy:
    """Add the policy of ``SECURE_CSP`` (Django 6 brings its own); views replace directives by ``csp_replace``."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response
        self.policy = _policy(settings.SECURE_CSP)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        replaced = getattr(response, "csp_replace", None)
        policy = _policy(settings.SECURE_CSP | replaced) if replaced else self.policy
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


def _policy(directives: dict[str, list[str]]) -> str:
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


class RefuseNulls:
    """Answer 400 to a NUL character in an address or a form: PostgreSQL stores none, and nobody types one."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_form = request.content_type == "application/x-www-form-urlencoded"
        if (
            "\x00" in request.path_info
            or "%00" in request.META.get("QUERY_STRING", "")
            or (is_form and b"%00" in request.body)
        ):
            return HttpResponse("the request holds a NUL character", status=400, content_type="text/plain")
        return self.get_response(request)


class CookieFree:
    """Answer views marked ``is_cookie_free`` here: session, user, language and forms are nothing to them.

    They are the rater's images and votes, most of all requests. What they need comes from the middleware above.
    """

    PREFIXES = ("/i/", "/r/")

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(self.PREFIXES):
            before, token, after = _around_token(request.path_info)
            match = _cookie_free(before, after) if token else None
            if match is not None:
                request.resolver_match = match
                return match.func(request, token=token)
        return self.get_response(request)


def _around_token(path: str) -> tuple[str, str, str]:
    """Return what stands before, in, and after the second part of a path: ``/r/``, the token, ``/api/votes``."""
    _, first, rest = path.split("/", 2)
    token, slash, after = rest.partition("/")
    if not slash and token.endswith((".png", ".webp", ".pair")):
        token, dot, after = token.rpartition(".")
        after = dot + after
    return f"/{first}/", token, slash + after


@lru_cache(maxsize=64)
def _cookie_free(before: str, after: str) -> ResolverMatch | None:
    """Return the view of all addresses that differ in their token alone: to look it up costs more than an image."""
    try:
        match = resolve(f"{before}-{after}")
    except Resolver404:
        return None
    return match if getattr(match.func, "is_cookie_free", False) and set(match.kwargs) == {"token"} else None
