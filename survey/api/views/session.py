"""Rater sessions and their votes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import study_of_call
from survey.api.calls import checked, filtered, page_of, paged
from survey.api.serializers.session import SessionQuerySerializer, SessionSerializer, VotesQuerySerializer
from survey.models import RaterSession, Study
from survey.reports.raters import rater_columns
from survey.reports.report import vote_columns
from survey.selectors.rater import rater_rows, sessions_in_table
from survey.selectors.vote import vote_rows
from survey.services.results.report_build import results_require_visible

if TYPE_CHECKING:
    from analysis.votes.columns import Field


class SessionList(APIView):
    @extend_schema(
        operation_id="sessions_list",
        parameters=[SessionQuerySerializer],
        responses=page_of(SessionSerializer),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the visits of raters, newest first."""
        rows = RaterSession.objects.filter(version__study=study_of_call(request, slug))
        rows = rows.filter(**filtered(request, SessionQuerySerializer)).select_related("version")
        return paged(self, rows, SessionSerializer, "-started_at")


class Votes(APIView):
    @extend_schema(
        operation_id="votes_export",
        parameters=[VotesQuerySerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        """Stream the votes table; refused while the plan hides the results."""

        study, given = _table_call(request, slug)
        return _streamed(
            vote_rows(study, is_pilot=given["is_pilot"]), vote_columns(study), as_format=given["as_format"]
        )


class Raters(APIView):
    @extend_schema(
        operation_id="raters_export",
        parameters=[VotesQuerySerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request, slug: str) -> HttpResponseBase:
        """Stream the raters' table, answers to exit questions included; refused while the plan hides the results."""
        study, given = _table_call(request, slug)
        rows = rater_rows(study, sessions_in_table(study, is_pilot=given["is_pilot"]))
        return _streamed(rows, rater_columns(study), as_format=given["as_format"])


def _table_call(request: Request, slug: str) -> tuple[Study, dict[str, Any]]:
    study = study_of_call(request, slug)
    given = checked(VotesQuerySerializer, request.query_params)
    # Before the first byte: a stream that has begun can no longer answer 403.
    results_require_visible(study, is_pilot=given["is_pilot"])
    return study, given


def _streamed(rows: Iterable[Mapping[str, Any]], columns: Sequence[Field], *, as_format: str) -> StreamingHttpResponse:
    from analysis.votes.writing import csv_chunks, jsonl_chunks

    chunks = (csv_chunks if as_format == "csv" else jsonl_chunks)(rows, columns)
    kind = "text/csv; charset=utf-8" if as_format == "csv" else "application/jsonl"
    return StreamingHttpResponse(chunks, content_type=kind)
