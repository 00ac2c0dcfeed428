"""The page of a visit: the session's step says which one its address shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from survey.criteria import has_ties
from survey.links import image_link, trial_links
from survey.models import RaterSession
from survey.recruitment import provider_of
from survey.selectors.beyond import beyond_steps
from survey.selectors.texts import consent_digests, instructed, question_filled, question_in, shown_language, words_in
from survey.selectors.trial import next_trials
from survey.selectors.version import frozen_config, frozen_room
from survey.selectors.visit import example_images
from survey.services.visit.device import Device
from survey.tokens import session_token
from survey.views.exit_questions import questions_context
from survey.views.image import are_pairs_served
from survey.views.page import rater_page, visit_page
from survey.views.trials import trials_context

__all__ = ["visit"]


@visit_page
@require_GET
def visit(request: HttpRequest, session: RaterSession) -> HttpResponse:
    """Show the page of the session's step."""
    config = frozen_config(session.version_id)
    context = {"session": session, "token": session_token(session.pk)}
    return rater_page(request, session.step, config, context | _STEPS[session.step](session, config))


def _consent_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "consent_sha256": consent_digests(config)[shown_language(config, get_language())],
        "room": frozen_room(session.version_id).as_json(),
    }


def _instructions_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "examples": _examples(session, config),
        "is_stacked": _is_stacked(session),
        "room": frozen_room(session.version_id).as_json(),
        "trial": config["trial"],
        "plan": config["plan"],
        "criteria": instructed(config, get_language()),
        "has_ties": has_ties(config),
        "beyond": beyond_steps(config, get_language()),
        "words": words_in(config, get_language()),
    }


def _examples(session: RaterSession, config: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "question": question_filled(question_in(config, get_language()), example),
            "left": image_link(example.left, side="left"),
            "right": image_link(example.right, side="right"),
            "sizes": json.dumps(example.sizes),
            "answer": example.answer,
        }
        for example in example_images(session)
    ]


def _device_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    room = frozen_room(session.version_id)
    return {"room": room.as_json(), "may_stack": room.may_stack, "example": _examples(session, config)[-1:]}


def _is_stacked(session: RaterSession) -> bool:
    """Return whether the window that the rater came with shows one image above the other."""
    layout = frozen_room(session.version_id).layout(Device(**session.device).window)
    return layout is not None and layout.kind == "stack"


def _trials_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    token = session_token(session.pk)
    urls = {name: reverse(f"survey:api-{name}", args=[token]) for name in ("window", "vote", "undo", "fault", "events")}
    trials = next_trials(session, limit=1)
    return trials_context(
        config,
        language=get_language(),
        urls=urls | {"finish": reverse("survey:finish", args=[token])},
        room=frozen_room(session.version_id),
        practice=session.assignment.get("practice", 0),
        order=session.assignment.get("criteria", [""]),
        first=trial_links(trials[0], session) if trials else None,
        are_pairs_served=are_pairs_served(),
    )


def _done_context(session: RaterSession, config: dict[str, Any]) -> dict[str, Any]:
    completion = provider_of(config["recruitment"]).finish(session)
    return {"completion_url": completion.url, "completion_fields": dict(completion.fields)}


_STEPS: dict[str, Callable[[RaterSession, dict[str, Any]], dict[str, Any]]] = {
    "consent": _consent_context,
    "device": _device_context,
    "instructions": _instructions_context,
    "trials": _trials_context,
    "questions": lambda session, config: questions_context(config),
    "done": _done_context,
}
