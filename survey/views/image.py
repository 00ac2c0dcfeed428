"""Serve images by sealed addresses: no query, no file name, nothing in the headers that differs by image.

The two images of a trial also have an address together, ``LEFT~RIGHT.SIZE.pair``, made of both tokens: one file behind
the other. They have one length, so the page knows where to cut.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from survey.api.errors import error_response
from survey.exceptions import SurveyError, TokenInvalid
from survey.selectors.copies import copy_file
from survey.services.blinding.timing import response_jitter
from survey.tokens import ImageClaim, image_claim_of

__all__ = ["ImageMiddleware", "are_pairs_served", "image", "served_copy", "served_pair"]

_SIZE = re.compile("[0-9]{1,2}")
_PAIR = ".pair"
_TYPES = {".webp": "image/webp", ".png": "image/png", _PAIR: "application/octet-stream"}
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def served_copy(token: str) -> tuple[dict[str, str], bytes]:
    """Return what the answer holds of one served copy: the headers of its own, and its bytes.

    The proxy sends the file where ``RATER_IMAGE_ACCEL`` names its internal location. Raises SurveyError for a token
    that grants nothing, and FileNotFoundError.
    """
    name = _granted(token)
    response_jitter()
    if settings.RATER_IMAGE_ACCEL:
        return {"X-Accel-Redirect": f"{settings.RATER_IMAGE_ACCEL.rstrip('/')}/{name}"}, b""
    content = _content(name)
    return {"Content-Length": str(len(content))}, content


def are_pairs_served() -> bool:
    """Whether a page should ask for both images of a trial at once.

    Not where that made the application pass on what the proxy sends by itself, or fetch from a bucket.
    """
    if settings.RATER_IMAGE_ACCEL:
        return bool(settings.RATER_PAIR_ACCEL)
    return isinstance(default_storage, FileSystemStorage)


def served_pair(tokens: str) -> tuple[dict[str, str], bytes]:
    """Return the same of both images of one trial, the left one first.

    The proxy sends them where ``RATER_PAIR_ACCEL`` names its internal location. Raises SurveyError for tokens that
    grant nothing, or are not of the two sides of one trial, and FileNotFoundError.
    """
    left, _, rest = tokens.partition("~")
    right, _, size = rest.partition(".")
    claims = image_claim_of(left), image_claim_of(right)
    is_pair = claims[0].trial == claims[1].trial and [claim.side for claim in claims] == ["l", "r"]
    if not is_pair or not all(claim.is_folder for claim in claims):
        raise TokenInvalid
    names = [_copy(claim, size) for claim in claims]
    response_jitter()
    if settings.RATER_PAIR_ACCEL:
        return {"X-Accel-Redirect": "/".join([settings.RATER_PAIR_ACCEL.rstrip("/"), *names])}, b""
    content = b"".join(map(_content, names))
    return {"Content-Length": str(len(content))}, content


def _granted(token: str) -> str:
    """Return the file that a token grants; to a folder of copies belongs the number of a size: ``TOKEN.3``."""
    sealed, _, size = token.partition(".")
    claim = image_claim_of(sealed)
    return _copy(claim, size) if claim.is_folder else claim.name


def _copy(claim: ImageClaim, size: str) -> str:
    if not _SIZE.fullmatch(size):
        raise TokenInvalid
    return copy_file(claim.name, int(size))


def _served(token: str, suffix: str) -> tuple[dict[str, str], bytes]:
    return served_pair(token) if suffix == _PAIR else served_copy(token)


def _content(name: str) -> bytes:
    """Return a copy's bytes: straight from the disk, if it is there, as a storage's file objects cost more than that.

    The name comes out of a sealed token of ours and is made of digits: of what somebody typed, a size's number alone.
    """
    if isinstance(default_storage, FileSystemStorage):
        with open(default_storage.path(name), "rb", buffering=0) as file:
            return file.readall()
    with default_storage.open(name) as file:
        return file.read()


def content_type(path: str) -> str:
    """Return the type of the copies at an address: all of a version have one."""
    return _TYPES[_suffix(path)]


def _suffix(path: str) -> str:
    return path[path.rindex(".") :]


@require_GET
def image(request: HttpRequest, token: str) -> HttpResponse:
    """Return one served copy, or the two of a trial."""
    try:
        own, content = _served(token, _suffix(request.path_info))
    except SurveyError as error:
        return error_response(error)
    except FileNotFoundError:
        return HttpResponse("this image is not in the storage; restore the storage's backup", status=404)
    # no-transform: a proxy that compressed again would give equal files unequal lengths.
    cache = {"Cache-Control": f"private, max-age={settings.RATER_IMAGE_SECONDS}, no-transform"}
    return HttpResponse(content, content_type=content_type(request.path_info), headers=cache | own)


image.is_cookie_free = True


class ImageMiddleware:
    """Hand out images before Django makes a request of them: two of three requests of a visit are for images.

    All other headers are those of Django's own answer to the first image, so that no rule stands here a second time;
    they are the same for every image, or they would tell images apart. Whatever is no plain image goes on to Django.
    """

    PREFIX = "/i/"

    def __init__(self, application: Application, observe: Callable[[str, str, int, float], None]) -> None:
        self._application = application
        self._observe = observe
        self._shared: dict[tuple[str, ...], list[tuple[str, str]]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        suffix = next((suffix for suffix in _TYPES if path.endswith(suffix)), None)
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(self.PREFIX) or suffix is None:
            return self._application(environ, start_response)
        # Over TLS there is a header more; who asks without it may be redirected, which is no image.
        scheme = (suffix, environ.get("wsgi.url_scheme", ""), environ.get("HTTP_X_FORWARDED_PROTO", ""))
        if (shared := self._shared.get(scheme)) is None:
            return self._application(environ, self._learning(scheme, start_response))
        start = time.perf_counter()
        try:
            own, content = _served(path[len(self.PREFIX) : -len(suffix)], suffix)
        except (SurveyError, FileNotFoundError):
            return self._application(environ, start_response)
        start_response("200 OK", [*shared, *own.items()])
        self._observe("GET", f"i/<str:token>{suffix}", 200, time.perf_counter() - start)
        return [content]

    def _learning(self, scheme: tuple[str, ...], start_response: Callable[..., Any]) -> Callable[..., Any]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            if status.startswith("200 ") and len(self._shared) < 8:
                own = {"Content-Length", "X-Accel-Redirect"}
                self._shared[scheme] = [(name, value) for name, value in headers if name not in own]
            return start_response(status, headers, *error)

        return start
