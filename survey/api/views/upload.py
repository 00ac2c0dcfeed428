"""What the proxy asks before it lets a large body through."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import Scope

__all__ = ["MayUpload"]


class MayUpload(APIView):
    """204 for whoever is signed in or sends a token that may write; the import itself asks for the study's role."""

    scopes = {"GET": Scope.WRITE}
    # The call that is asked about is counted.
    throttle_classes: ClassVar[list[Any]] = []

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(status=status.HTTP_204_NO_CONTENT)
