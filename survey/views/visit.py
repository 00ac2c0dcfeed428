"""The page of a visit: the session's step says which one its address shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from survey.links import image_link
from survey.models import RaterSession
from survey.recruitment import provider_of
from survey.selectors.version import frozen_config, frozen_consent_sha256, frozen_frame
from survey.selectors.visit import example_images
from survey.services.visit.device import CONTROLS_PX, GUTTER_PX, SIDE_PX, Device, layout_of
from survey.tokens import session_token
from survey.views.page import rater_page, visit_page
from survey.views.texts import trial_texts

__all__ = ["visit"]


@visit_page
@require_GET
def visit(request: HttpRequest, session: RaterSession) -> HttpResponse:
    """Show the page of the session's step."""
    config = frozen_config(session.version_id)
    context = {"session": session, "token": session_token(session.pk)}
    return rater_page(request, session.step, config, context | _STEPS[session.step](session, config))


def _consent_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    return {"consent_sha256": frozen_consent_sha256(session.version_id)}


def _room(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    width, height = frozen_frame(session.version_id)
    return {
        "width": width,
        "height": height,
        "pixel_multiple": config["trial"]["pixel_multiple"],
        "gutter": GUTTER_PX,
        "side": SIDE_PX,
        "controls": CONTROLS_PX,
    }


def _instructions_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    examples = [
        {
            "question": config["texts"]["question"].format(class_name=example.class_name),
            "left": image_link(example.left, side="left"),
            "right": image_link(example.right, side="right"),
            "sizes": example.sizes,
            "answer": example.answer,
        }
        for example in example_images(session)
    ]
    return {
        "examples": examples,
        "is_stacked": _is_stacked(session, config),
        "room": _room(session, config),
        "trial": config["trial"],
        "plan": config["plan"],
    }


def _device_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    return {"room": _room(session, config), "may_stack": config["trial"]["narrow_screens"] == "stack"}


def _is_stacked(session: RaterSession, config: dict[str, Any]) -> bool:
    """Return whether the window that the rater came with shows one image above the other."""
    device = Device(**session.device)
    return layout_of(device, trial=config["trial"], frame=frozen_frame(session.version_id)) == "stack"


def _trials_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    token = session_token(session.pk)
    urls = {name: reverse(f"survey:api-{name}", args=[token]) for name in ("window", "vote", "undo", "fault", "events")}
    setup = {
        "urls": urls | {"finish": reverse("survey:finish", args=[token])},
        "room": _room(session, config),
        "ties": config["trial"]["are_ties_allowed"],
        "stack": config["trial"]["narrow_screens"] == "stack",
        "zoom": config["trial"]["is_zoom_allowed"],
        "minimumExposureMs": config["trial"]["minimum_exposure_ms"],
        "breakEvery": config["plan"]["break_every"],
        "practice": session.assignment.get("practice", 0),
        "texts": trial_texts(),
    }
    return {"setup": setup, "ties": config["trial"]["are_ties_allowed"]}


def _done_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    completion = provider_of(config["recruitment"]).finish(session)
    return {"completion_url": completion.url, "completion_fields": dict(completion.fields)}


_STEPS: dict[str, Callable[[RaterSession, dict[str, Any]], dict[str, Any]]] = {
    "consent": _consent_context,
    "device": _device_context,
    "instructions": _instructions_context,
    "trials": _trials_context,
    "questions": lambda session, config: {},
    "done": _done_context,
}
