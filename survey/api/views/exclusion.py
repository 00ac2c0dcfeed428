"""The ledger of exclusions."""

from __future__ import annotations

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import study_of_call
from survey.api.calls import checked, filtered, page_of, paged
from survey.api.serializers.base import QuerySerializer
from survey.api.serializers.exclusion import (
    ExclusionInputSerializer,
    ExclusionSerializer,
    ProposalSerializer,
    ReasonSerializer,
)
from survey.api.serializers.job import JobMadeSerializer
from survey.models import Exclusion
from survey.reports.screening import exclusion_proposals
from survey.services.background import exclusions_begin
from survey.services.results.exclusion import exclusion_by_hand, exclusion_revoke, exclusions_apply


class ExclusionList(APIView):
    @extend_schema(
        operation_id="exclusions_list",
        parameters=[QuerySerializer],
        responses=page_of(ExclusionSerializer),
    )
    def get(self, request: Request, slug: str) -> Response:
        """List the ledger of exclusions, those taken back included."""
        filtered(request, QuerySerializer)
        rows = Exclusion.objects.filter(session__version__study=study_of_call(request, slug)).select_related("made_by")
        return paged(self, rows, ExclusionSerializer, "-pk")

    @extend_schema(
        operation_id="exclusions_apply",
        request=ExclusionInputSerializer,
        responses={200: ProposalSerializer(many=True), 202: JobMadeSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Exclude one session by hand, or those that rules flag; a worker screens a study of many votes (202)."""
        study = study_of_call(request, slug, change=True)
        given = checked(ExclusionInputSerializer, request.data)
        if "session" in given:
            exclusion_by_hand(study=study, session_id=given["session"], reason=given["reason"], actor=request.user)
            return Response([])
        asked = {"rules": given.get("rules"), "is_pilot": given["is_pilot"]}
        job = exclusions_begin(study=study, is_preview=given["is_preview"], actor=request.user, **asked)
        if job:
            return Response({"job": job.pk}, status=status.HTTP_202_ACCEPTED)
        proposals = exclusion_proposals(study, **asked)
        if not given["is_preview"]:
            exclusions_apply(study=study, proposals=proposals, actor=request.user)
        return Response(ProposalSerializer(proposals, many=True).data)


class ExclusionRevoke(APIView):
    @extend_schema(operation_id="exclusion_revoke", request=ReasonSerializer, responses=ExclusionSerializer)
    def post(self, request: Request, slug: str, exclusion: int) -> Response:
        """Take an exclusion back."""
        study = study_of_call(request, slug, change=True)
        row = Exclusion.objects.filter(session__version__study=study, pk=exclusion).first()
        if row is None:
            raise Http404
        given = checked(ReasonSerializer, request.data)
        row = exclusion_revoke(exclusion=row, reason=given["reason"], actor=request.user)
        return Response(ExclusionSerializer(row).data)
