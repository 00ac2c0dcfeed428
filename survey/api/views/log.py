"""The audit log."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import study_of_call
from survey.api.calls import filtered, page_of, paged
from survey.api.serializers.base import QuerySerializer
from survey.api.serializers.log import AuditSerializer


class Log(APIView):
    @extend_schema(operation_id="log_list", parameters=[QuerySerializer], responses=page_of(AuditSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """List the hash-chained log, newest first."""
        filtered(request, QuerySerializer)
        return paged(self, study_of_call(request, slug).audit_entries.all(), AuditSerializer, "-number")
