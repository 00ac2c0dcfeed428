"""How the OpenAPI document is made: every operation names the problems it can answer with."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

__all__ = ["ProblemSchema", "problem_component"]

_PROBLEMS = {
    "400": "The request cannot be understood.",
    "401": "No valid login or token.",
    "403": "The scope or the role does not allow it, or the results are still hidden.",
    "404": "There is nothing here for this user.",
    "406": "JSON is the only answer.",
    "409": "The state of the study does not allow it.",
    "415": "The body has another type than this operation takes.",
    "422": "The content breaks a rule of the study.",
    "429": "Too many calls; wait as long as Retry-After says.",
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:blindpair:problem:illegal_transition"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class ProblemSchema(AutoSchema):
    """Add RFC 9457 problems to every operation."""

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        for status, meaning in _PROBLEMS.items():
            content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            # An operation's own words for a status come first.
            bodies.setdefault(status, {"description": meaning, "content": content})
        return bodies


def problem_component(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Put the problem's shape into the document once."""
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    return result
