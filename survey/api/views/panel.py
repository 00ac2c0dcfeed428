"""Personal links, erasures, and the comparison with a panel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from survey.api.auth import Scope, study_of_call
from survey.api.calls import checked
from survey.api.serializers.panel import (
    ErasureInputSerializer,
    ErasureSerializer,
    LinkBatchSerializer,
    LinksInputSerializer,
    LinksSerializer,
    ReconcileInputSerializer,
    ReconciliationSerializer,
)
from survey.links import personal_link
from survey.models import PersonalLink, Study
from survey.selectors.links import link_batches
from survey.services.panel.erasure import identity_erase
from survey.services.panel.links import personal_link_revoke, personal_links_create
from survey.services.panel.reconciliation import PanelRow, submissions_reconcile


class Links(APIView):
    @extend_schema(operation_id="links_list", responses=LinkBatchSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the batches of personal links, newest first."""
        return Response(LinkBatchSerializer(link_batches(study_of_call(request, slug)), many=True).data)

    @extend_schema(operation_id="links_create", request=LinksInputSerializer, responses={201: LinksSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Make a batch of personal links."""
        study = study_of_call(request, slug, change=True)
        given = checked(LinksInputSerializer, request.data)
        links = personal_links_create(study=study, count=given["count"], actor=request.user)
        return Response(_links_shown(study, links[0].batch, links), status=status.HTTP_201_CREATED)


def _links_shown(study: Study, batch: int, links: Iterable[PersonalLink]) -> dict[str, Any]:
    return LinksSerializer({"batch": batch, "links": [personal_link(study, link) for link in links]}).data


class LinkBatch(APIView):
    @extend_schema(operation_id="links_of_batch", responses=LinksSerializer)
    def get(self, request: Request, slug: str, batch: int) -> Response:
        """Show the links of a batch again, without those that were closed."""
        study = study_of_call(request, slug)
        links = study.personal_links.filter(batch=batch)
        if not links.exists():
            raise Http404
        return Response(_links_shown(study, batch, links.filter(is_revoked=False)))


class LinkRevoke(APIView):
    @extend_schema(operation_id="link_revoke", request=None, responses={204: None})
    def post(self, request: Request, slug: str, batch: int, number: int) -> Response:
        """Close one link; a visit that it opened goes on."""
        study = study_of_call(request, slug, change=True)
        link = study.personal_links.select_related("study").filter(batch=batch, number=number).first()
        if link is None:
            raise Http404
        personal_link_revoke(link=link, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ErasureList(APIView):
    # Erasing cannot be taken back.
    scopes = {"POST": Scope.RUN}

    @extend_schema(operation_id="erasures_list", responses=ErasureSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the proofs of erasure."""
        rows = study_of_call(request, slug).erasures.order_by("-erased_at")
        return Response(ErasureSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="erasures_create",
        request=ErasureInputSerializer,
        responses={201: ErasureSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Erase who a person is; the anonymous votes stay. For owners."""
        study = study_of_call(request, slug, manage=True)
        given = checked(ErasureInputSerializer, request.data)
        proof = identity_erase(study=study, panel_id=given["panel_id"], actor=request.user)
        return Response(ErasureSerializer(proof).data, status=status.HTTP_201_CREATED)


class Reconcile(APIView):
    @extend_schema(
        operation_id="submissions_reconcile",
        request=ReconcileInputSerializer,
        responses=ReconciliationSerializer,
    )
    def post(self, request: Request, slug: str) -> Response:
        """Compare the panel's submissions with the sessions here, and list every difference."""
        study = study_of_call(request, slug, change=True)
        given = checked(ReconcileInputSerializer, request.data)
        rows = [PanelRow(**row) for row in given["submissions"]]
        provider = study.recruitment.get("provider", "open")
        found = submissions_reconcile(study=study, provider=provider, rows=rows, actor=request.user)
        return Response(ReconciliationSerializer(found).data)
