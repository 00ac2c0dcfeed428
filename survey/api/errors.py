"""The one place that turns errors of the rules into HTTP: a status and one JSON shape."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as rest
from rest_framework.response import Response
from rest_framework.views import set_rollback

from survey import exceptions as errors

__all__ = ["error_body", "error_code", "error_response", "error_status", "nothing_here", "problem_handler"]

_STATUS: dict[type[errors.SurveyError], int] = {
    errors.BadArchive: 422,
    errors.BadPanelExport: 422,
    errors.ImportRefused: 422,
    errors.WebhookRefused: 422,
    errors.AlreadyTaken: 403,
    errors.EntryRefused: 403,
    errors.ExclusionRefused: 409,
    errors.NothingToErase: 404,
    errors.ResultsHidden: 403,
    errors.AnswersMismatch: 400,
    errors.ExitAnswersRefused: 400,
    errors.BadSubmission: 422,
    errors.ConsentOutdated: 409,
    errors.IllegalTransition: 409,
    errors.LastOwner: 409,
    errors.NothingToUndo: 409,
    errors.OtherTab: 409,
    errors.PairConflict: 409,
    errors.PairUnknown: 404,
    errors.StudyNotDeletable: 409,
    errors.SessionNotActive: 409,
    errors.SessionUnknown: 404,
    errors.StudyNotEditable: 409,
    errors.StudyNotOpen: 404,
    errors.StudyNotReady: 422,
    errors.StudyUnknown: 404,
    errors.TokenExpired: 410,
    errors.TokenInvalid: 404,
    errors.TrialUnknown: 404,
    errors.VoteConflict: 409,
}


def error_status(error: errors.SurveyError) -> int:
    """Return the HTTP status of an error; 400 for one that has none of its own."""
    # In the order of the table: a subclass that needs its own status stands before its parent.
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)


def error_code(error: errors.SurveyError) -> str:
    """Return the name that programs know the error by, such as ``vote_conflict``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def error_body(error: errors.SurveyError) -> dict:
    return {"error": {"code": error_code(error), "message": str(error)}}


def error_response(error: errors.SurveyError) -> JsonResponse:
    """Return the error as a response."""
    return JsonResponse(error_body(error), status=error_status(error))


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn any expected error of the researchers' API into an RFC 9457 problem; the rest is a bug and stays one."""
    if isinstance(error, errors.SurveyError):
        details = getattr(error, "problems", [])
        problem = _problem(error_status(error), error_code(error), str(error), [{"detail": text} for text in details])
    elif isinstance(error, ValidationError):
        problem = _problem(400, "invalid", "Some fields are not valid.", _django_errors(error))
    elif isinstance(error, rest.ValidationError):
        problem = _problem(400, "invalid", "Some fields are not valid.", list(_fields(error.detail)))
    elif isinstance(error, Http404):
        problem = _problem(404, "not_found", "There is nothing here for you at this address.")
    elif isinstance(error, PermissionDenied):
        problem = _problem(403, "permission_denied", "Your role does not allow this.")
    elif isinstance(error, rest.APIException):
        problem = _problem(error.status_code, str(error.default_code), str(error.detail))
    else:
        return None
    # An error that becomes an answer is no exception to Django's transaction: it has to be told.
    set_rollback()
    response = Response(problem, status=problem["status"], content_type="application/problem+json")
    if wait := getattr(error, "wait", None):
        # Rounded up: a caller that waits exactly so long must not be early.
        response["Retry-After"] = str(int(wait) + 1)
    if scheme := getattr(error, "auth_header", None):
        # RFC 9110 demands it of every 401.
        response["WWW-Authenticate"] = scheme
    return response


def _problem(status: int, code: str, detail: str, found: list[dict[str, str]] | None = None) -> dict[str, Any]:
    title = code.replace("_", " ").capitalize()
    body: dict[str, Any] = {"type": f"urn:blindpair:problem:{code}", "title": title, "status": status, "detail": detail}
    return body | {"errors": found} if found else body


def _django_errors(error: ValidationError) -> list[dict[str, str]]:
    if hasattr(error, "error_dict"):
        return [{"field": name, "detail": text} for name, texts in error.message_dict.items() for text in texts]
    return [{"detail": text} for text in error.messages]


def _fields(detail: Any, path: str = "") -> Any:
    """Yield one error a message of a nested serializer's errors."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _fields(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _fields(inner, path)
    else:
        yield {"field": path, "detail": str(detail)} if path else {"detail": str(detail)}


@csrf_exempt  # it does nothing: a wrong address is named as such, whoever asks
def nothing_here(request: HttpRequest) -> JsonResponse:
    """Answer an address that leads to no operation."""
    problem = _problem(404, "not_found", "There is no operation at this address. /api/v1/docs/ lists them.")
    return JsonResponse(problem, status=404, content_type="application/problem+json")
