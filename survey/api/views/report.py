"""Reports and their files."""

from __future__ import annotations

import mimetypes

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import study_of_call
from survey.api.calls import checked, filtered, page_of, paged
from survey.api.serializers.base import QuerySerializer
from survey.api.serializers.report import ReportInputSerializer, ReportSerializer
from survey.services.results.report_build import report_request, report_require_readable


class ReportList(APIView):
    @extend_schema(operation_id="reports_list", parameters=[QuerySerializer], responses=page_of(ReportSerializer))
    def get(self, request: Request, slug: str) -> Response:
        """List the reports that were built, newest first."""
        filtered(request, QuerySerializer)
        return paged(self, study_of_call(request, slug).reports.all(), ReportSerializer, "-created_at")

    @extend_schema(operation_id="reports_create", request=ReportInputSerializer, responses={202: ReportSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Build a report on a worker; refused while the plan hides the results."""
        study = study_of_call(request, slug, change=True)
        given = checked(ReportInputSerializer, request.data)
        build = report_request(study=study, actor=request.user, is_pilot=given["is_pilot"])
        return Response(ReportSerializer(build).data, status=status.HTTP_202_ACCEPTED)


class ReportFile(APIView):
    @extend_schema(operation_id="report_file", responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, build: int, name: str) -> HttpResponseBase:
        """Download one file of a report."""
        study = study_of_call(request, slug)
        row = study.reports.filter(pk=build).first()
        # Only names that the build lists: no path is made from the address.
        if row is None or name not in row.files:
            raise Http404
        report_require_readable(row)
        stored = row.files[name]["name"]
        if not default_storage.exists(stored):
            raise Http404
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return FileResponse(default_storage.open(stored), as_attachment=True, filename=name, content_type=kind)
