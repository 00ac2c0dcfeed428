"""Who calls the API, and what the call may do: a scope of the token and a role in the study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from survey.models import ApiToken, Study
from survey.selectors.access import may_change, may_manage, studies_visible_to
from survey.services.access.api_token import token_find

if TYPE_CHECKING:
    # Django REST framework imports this module while its own views are half loaded.
    from rest_framework.views import APIView

__all__ = ["HasScope", "SessionAuthentication", "TokenAuthentication", "study_of_call"]

Scope = ApiToken.Scope


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Bearer bp_...``"""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        # No token at all: another way to sign in may still apply.
        if kind.lower() != "bearer":
            return None
        row = token_find(token.strip())
        if row is None:
            raise exceptions.AuthenticationFailed("The token is unknown, revoked or expired. Make a new one.")
        return row.user, row

    def authenticate_header(self, request: Request) -> str:
        # Makes Django REST framework answer 401 instead of 403 to a call without a login.
        return "Bearer"


class SessionAuthentication(authentication.SessionAuthentication):
    """The admin's login, with its CSRF check."""


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "survey.api.auth.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token with scopes: read, write, run."}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "survey.api.auth.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class HasScope(permissions.BasePermission):
    """Staff, and where a token is used, one that has the scope of the call."""

    message = "This needs a staff account, and a token with the right scope."

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if not (user and user.is_authenticated and user.is_active and user.is_staff):
            return False
        # A login in the admin has no scopes: the person's roles are all that counts.
        if not isinstance(request.auth, ApiToken):
            return True
        needed = getattr(view, "scopes", {}).get(request.method)
        # Safe methods read, others write; steps that cannot be undone name their scope themselves.
        needed = needed or (Scope.READ if request.method in permissions.SAFE_METHODS else Scope.WRITE)
        return needed in request.auth.scopes


def study_of_call(request: Request, slug: str, *, change: bool = False, manage: bool = False) -> Study:
    """Return the study, as if it did not exist for a stranger; refuse a viewer who wants to change it."""
    # 404 to a stranger as for a slug that nobody has.
    study = studies_visible_to(request.user).filter(slug=slug).first()
    if study is None:
        raise Http404
    if (change and not may_change(request.user, study)) or (manage and not may_manage(request.user, study)):
        raise exceptions.PermissionDenied("Your role in this study does not allow this. Ask an owner.")
    return study
