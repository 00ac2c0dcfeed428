"""Small copies of a study's images for its researchers, never for raters: they come from the original files."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from uuid import UUID

from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from PIL import Image

from analysis.pictures.colour import in_srgb
from analysis.pictures.errors import PictureError
from survey.models import PairImage, Study

__all__ = ["image_of", "response"]

# Shown at 120 CSS pixels: enough to recognise an image, small enough for a page of many.
SIDE = 160
# Of these every browser shows the file itself; of others it gets a PNG.
SHOWN_AS_IT_IS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


def image_of(study: Study, pk: UUID) -> PairImage | None:
    """Return an image of this study and no other."""
    return PairImage.objects.filter(pair__study=study, pk=pk).first()


def _thumbnail(content: bytes) -> bytes:
    small = in_srgb(content)
    if max(small.size) > SIDE:
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    elif (factor := SIDE // max(small.size)) > 1:
        # Whole multiples keep the pixels of small images as they are.
        small = small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
    return _png(small)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Thumbnails are made while the page loads: speed counts more than some bytes.
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def response(request: HttpRequest, image: PairImage, *, is_full: bool) -> HttpResponse:
    """Return the picture; its digest is its tag, so a browser asks once."""
    tag = f'"{image.sha256}-{"full" if is_full else SIDE}"'
    # Before the file is opened: decoding is what costs.
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified()
    try:
        with default_storage.open(image.file) as file:
            content = file.read()
        kind = SHOWN_AS_IT_IS.get(PurePosixPath(image.file).suffix) if is_full else None
        body = content if kind else _png(in_srgb(content)) if is_full else _thumbnail(content)
    except (OSError, PictureError):
        return HttpResponse("The file of this image cannot be read.", status=404, content_type="text/plain")
    answer = HttpResponse(body, content_type=kind or "image/png")
    answer["ETag"] = tag
    # Private: a shared cache must not hand a study's images to strangers.
    answer["Cache-Control"] = "private, max-age=86400"
    return answer
