"""Serve images by sealed addresses: no query, no file name, nothing in the headers that differs by image."""

from __future__ import annotations

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from survey.api.errors import error_response
from survey.exceptions import SurveyError
from survey.services.tokens import image_claim_of

__all__ = ["image"]


@require_GET
def image(request: HttpRequest, token: str) -> HttpResponse:
    """Return one served copy. The proxy sends the file where ``RATER_IMAGE_ACCEL`` names its internal location."""
    try:
        claim = image_claim_of(token)
    except SurveyError as error:
        return error_response(error)
    response = HttpResponse(content_type="image/png")
    # no-transform: a proxy that compressed again would give equal files unequal lengths.
    response.headers["Cache-Control"] = f"private, max-age={settings.RATER_IMAGE_SECONDS}, no-transform"
    if settings.RATER_IMAGE_ACCEL:
        response.headers["X-Accel-Redirect"] = f"{settings.RATER_IMAGE_ACCEL.rstrip('/')}/{claim.name}"
        return response
    try:
        response.content = _content(claim.name)
    except FileNotFoundError:
        return HttpResponse("this image is not in the storage; restore the storage's backup", status=404)
    response.headers["Content-Length"] = str(len(response.content))
    return response


def _content(name: str) -> bytes:
    """Return a copy's bytes: straight from the disk, if it is there, as a storage's file objects cost more than that.

    The name comes out of a sealed token of ours and is made of digits, never of what somebody typed.
    """
    if isinstance(default_storage, FileSystemStorage):
        with open(default_storage.path(name), "rb", buffering=0) as file:
            return file.readall()
    with default_storage.open(name) as file:
        return file.read()


image.is_cookie_free = True
