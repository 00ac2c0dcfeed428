"""Addresses that are told about changes of state."""

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
from survey.api.serializers.webhook import (
    DeliverySerializer,
    WebhookInputSerializer,
    WebhookMadeSerializer,
    WebhookSerializer,
    WebhookSwitchSerializer,
)
from survey.models import Webhook
from survey.services.records.webhook import webhook_add, webhook_remove, webhook_switch, webhook_test


class WebhookList(APIView):
    @extend_schema(operation_id="webhooks_list", responses=WebhookSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the addresses that are told about changes of state."""
        return Response(WebhookSerializer(study_of_call(request, slug).webhooks.all(), many=True).data)

    @extend_schema(
        operation_id="webhooks_create",
        request=WebhookInputSerializer,
        responses={201: WebhookMadeSerializer},
    )
    def post(self, request: Request, slug: str) -> Response:
        """Add an address; the answer shows the secret that signs what is sent, this once."""
        study = study_of_call(request, slug, change=True)
        given = checked(WebhookInputSerializer, request.data)
        webhook = webhook_add(study=study, url=given["url"], actor=request.user)
        return Response(WebhookMadeSerializer(webhook).data, status=status.HTTP_201_CREATED)


def _webhook(request: Request, slug: str, pk: int, *, change: bool = True) -> Webhook:
    row = study_of_call(request, slug, change=change).webhooks.filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


class WebhookDetail(APIView):
    @extend_schema(operation_id="webhook_switch", request=WebhookSwitchSerializer, responses=WebhookSerializer)
    def patch(self, request: Request, slug: str, webhook: int) -> Response:
        """Turn an address off, or on again."""
        row = _webhook(request, slug, webhook)
        given = checked(WebhookSwitchSerializer, request.data)
        return Response(WebhookSerializer(webhook_switch(webhook=row, actor=request.user, **given)).data)

    @extend_schema(operation_id="webhook_delete", responses={204: None})
    def delete(self, request: Request, slug: str, webhook: int) -> Response:
        """Remove an address with its deliveries."""
        webhook_remove(webhook=_webhook(request, slug, webhook), actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookDeliveries(APIView):
    @extend_schema(
        operation_id="webhook_deliveries",
        parameters=[QuerySerializer],
        responses=page_of(DeliverySerializer),
    )
    def get(self, request: Request, slug: str, webhook: int) -> Response:
        """List what was sent to an address, newest first, with what it answered."""
        filtered(request, QuerySerializer)
        rows = _webhook(request, slug, webhook, change=False).deliveries.all()
        return paged(self, rows, DeliverySerializer, "-created_at")


class WebhookTest(APIView):
    @extend_schema(operation_id="webhook_test", request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, slug: str, webhook: int) -> Response:
        """Send an event ``study.test``, once; the deliveries say what became of it."""
        delivery = webhook_test(webhook=_webhook(request, slug, webhook))
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)
