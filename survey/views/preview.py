"""A draft's pages as raters will see them, with its own images: for its researchers, and stored nowhere.

The pages are the raters' own templates and scripts. Copies are made while they are asked for; answers are taken and
forgotten. The script's requests carry no cookie, so that a signed ticket in their address says whose draft it is.
"""

from __future__ import annotations

import json
import math
import secrets
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import translation
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from survey.criteria import BLOCKS, criteria_of, design_of, has_ties
from survey.geometry import Room
from survey.models import ImagePair, PairImage, ReferenceImage, Study
from survey.renditions import fitted_sizes, rendition_sizes
from survey.selectors.access import studies_visible_to
from survey.selectors.beyond import beyond_steps
from survey.selectors.texts import criteria_in, instructed, question_filled, question_in, texts_in, words_in
from survey.selectors.trial import asked_facts
from survey.services.blinding.scaling import scaled
from survey.services.blinding.served_copies import image_degraded, image_pixels
from survey.services.blinding.webp import webp_file, webp_stream
from survey.services.study.display import least_box, room_of
from survey.services.study.version import version_config
from survey.views.exit_questions import questions_context
from survey.views.page import language_of
from survey.views.texts import BROWSERS
from survey.views.trials import trials_context

__all__ = ["STEPS", "preview_api", "preview_image", "preview_page"]

STEPS = ("landing", "consent", "device", "instructions", "trials", "questions")
_SALT = "survey.preview"
_MOST_SECONDS = 86_400
_PAIRS = 8
# A phone has so many device pixels to a CSS pixel; the screen that a preview stands on has not.
_PHONE_RATIO = 3


def _study(request: HttpRequest, slug: str) -> Study:
    return get_object_or_404(studies_visible_to(request.user), slug=slug)


@login_required
@require_GET
@xframe_options_sameorigin
def preview_page(request: HttpRequest, slug: str, step: str) -> HttpResponse:
    """Show one page of a visit, marked as a preview."""
    study = _study(request, slug)
    if step not in STEPS:
        raise Http404
    config, room = version_config(study, is_shown=True), _room(study, is_phone=request.GET.get("as") == "phone")
    with translation.override(language_of(request, config=config)):
        texts = texts_in(config, translation.get_language())
        context = {
            "texts": texts,
            "title": texts["title"],
            "is_preview": True,
            "browsers": ", ".join(BROWSERS),
            "token": "preview",
            "session": {"step": step},
            "room": room.as_json(),
            "may_stack": room.may_stack,
            "trial": config["trial"],
            "plan": config["plan"],
        }
        context |= _CONTEXTS.get(step, _nothing)(study, config, room)
        response = render(request, f"survey/rater/{step}.html", context)
    response.csp_replace = {"frame-ancestors": ["'self'"]}
    return response


def _room(study: Study, *, is_phone: bool) -> Room:
    """Return what a pair needs; in the frame of a phone as a phone has it, whose pixels are finer."""
    room = room_of(study)
    if not (is_phone and room.is_fit):
        return room
    return replace(room, least=tuple(math.ceil(side / _PHONE_RATIO) for side in room.least))


def _nothing(study: Study, config: dict[str, Any], room: Room) -> dict[str, Any]:
    return {}


def _examples(study: Study, config: dict[str, Any]) -> list[dict[str, Any]]:
    rows = PairImage.objects.filter(pair__in=_pairs(study)).select_related("pair").order_by("-pk")[:2]
    return [
        {
            "question": question_filled(question_in(config, translation.get_language()), image.pair),
            "left": _address(study, image, is_spoilt=answer == "right"),
            "right": _address(study, image),
            "sizes": json.dumps(_sizes(study, image)),
            "answer": answer,
        }
        for image, answer in zip(rows, ("right", "tie" if has_ties(config) else "guess"), strict=False)
    ]


def _trials_context(study: Study, config: dict[str, Any], room: Room) -> dict[str, Any]:
    # Another for each frame: two of one address would take each other for an older tab.
    ticket = signing.dumps([study.pk, secrets.token_hex(4), translation.get_language()], salt=_SALT)
    urls = {
        name: reverse("survey:preview-api", args=[ticket, name])
        for name in ("window", "vote", "undo", "fault", "events", "finish")
    }
    return trials_context(
        config,
        language=translation.get_language(),
        urls=urls,
        room=room,
        practice=0,
        order=[criterion.key for criterion in criteria_of(config)],
    )


_CONTEXTS: dict[str, Callable[[Study, dict[str, Any], Room], dict[str, Any]]] = {
    "device": lambda study, config, room: {"example": _examples(study, config)[-1:]},
    "instructions": lambda study, config, room: {
        "examples": _examples(study, config),
        "criteria": instructed(config, translation.get_language()),
        "has_ties": has_ties(config),
        "beyond": beyond_steps(config, translation.get_language()),
        "words": words_in(config, translation.get_language()),
    },
    "trials": _trials_context,
    "questions": lambda study, config, room: questions_context(config),
}


# --- images ---------------------------------------------------------------------------------------------------------


def _pairs(study: Study) -> Any:
    """Return the first pairs that take part, of each size one before others."""
    return study.pairs.filter(is_selected=True).order_by("key")[:_PAIRS]


def _sizes(study: Study, image: PairImage) -> list[tuple[int, int]]:
    if not room_of(study).is_fit:
        return rendition_sizes(image.width, image.height, least_px=None)
    least = least_box(study)
    own = rendition_sizes(image.width, image.height, least_px=least)
    finer = rendition_sizes(image.width, image.height, least_px=math.ceil(least / _PHONE_RATIO))
    # The smaller ones are for the frame of a phone alone; every other window shows one of the study's own.
    return own + [size for size in finer if max(size) < max(own[-1])]


def _address(study: Study, image: PairImage, *, is_spoilt: bool = False) -> str:
    name = f"{image.pk.hex}{'s' if is_spoilt else ''}"
    return reverse("survey:preview-image", args=[study.slug, name, 0])


def _reference_address(study: Study, pair: ImagePair) -> str:
    if not hasattr(pair, "reference"):
        return ""
    return reverse("survey:preview-image", args=[study.slug, f"{pair.reference.pk.hex}r", 0])


@login_required
@require_GET
def preview_image(request: HttpRequest, slug: str, name: str, size: int) -> HttpResponse:
    """Make one copy of an image, at its length as it comes: a preview has nothing to hide."""
    study = _study(request, slug)
    image, sizes = _previewed(study, name)
    if size >= len(sizes):
        raise Http404
    (picture,) = scaled(image_pixels(image), [sizes[size]])
    stream = webp_stream(image_degraded(picture) if name.endswith("s") else picture)
    content = webp_file(stream, width=picture.width, height=picture.height, length=len(stream))
    return HttpResponse(content, content_type="image/webp", headers={"Cache-Control": "private, max-age=600"})


def _previewed(study: Study, name: str) -> tuple[PairImage | ReferenceImage, list[tuple[int, int]]]:
    """Return the image or reference that a name stands for, and the sizes of its copies."""
    try:
        key = uuid.UUID(name.rstrip("rs"))
    except ValueError:
        raise Http404 from None
    if not name.endswith("r"):
        image = get_object_or_404(PairImage.objects.select_related("pair", "arm"), pk=key, pair__study=study)
        return image, _sizes(study, image)
    reference = get_object_or_404(ReferenceImage.objects.select_related("pair"), pk=key, pair__study=study)
    frames = _sizes(study, reference.pair.images.first())
    return reference, fitted_sizes(reference.width, reference.height, frames)


# --- what the script asks for -----------------------------------------------------------------------------------------


@csrf_exempt  # it changes nothing, and knows no user
@require_POST
def preview_api(request: HttpRequest, ticket: str, name: str) -> HttpResponse:
    """Answer as the raters' API does, and keep nothing."""
    try:
        key, _, language = signing.loads(ticket, salt=_SALT, max_age=_MOST_SECONDS)
        study = get_object_or_404(Study, pk=key)
    except signing.BadSignature:
        raise Http404 from None
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = {}
    trials = _trials(study, language)
    done = next((place for place, trial in enumerate(trials, start=1) if trial["id"] == body.get("trial")), 0)
    ahead = trials[done:] if name in {"vote", "fault"} else trials
    return JsonResponse({"trials": ahead[:4], "done": done, "total": len(trials), "kept": 0})


def _trials(study: Study, language: str) -> list[dict[str, Any]]:
    config = version_config(study, is_shown=True)
    criteria = criteria_in(config, language)
    blocks = [[criterion] for criterion in criteria] if design_of(config) == BLOCKS else [list(criteria)]
    pairs = list(_pairs(study).select_related("reference").prefetch_related("images"))
    found: list[dict[str, Any]] = []
    for block, asked in enumerate(blocks, start=1):
        several = len(criteria) > 1
        for pair in pairs:
            left, right = list(pair.images.all())[:2]
            found.append(
                {
                    "id": f"{pair.pk}/{block}",
                    "number": len(found) + 1,
                    "practice": False,
                    "question": question_filled(asked[0].question, pair),
                    "sizes": _sizes(study, left),
                    "left": _address(study, left),
                    "right": _address(study, right),
                    "prompt": pair.prompt,
                    "reference": _reference_address(study, pair),
                }
                | (asked_facts(asked, block=block if len(blocks) > 1 else 0, pair=pair) if several else {})
            )
    return found
