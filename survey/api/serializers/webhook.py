"""The shapes of webhooks and their deliveries."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import StrictSerializer, example
from survey.models import Webhook, WebhookDelivery


class WebhookSerializer(serializers.ModelSerializer):
    """``secret`` signs what is sent; it is shown in the answer to making the webhook alone."""

    class Meta:
        model = Webhook
        fields = ["id", "url", "is_active", "created_at"]


class WebhookMadeSerializer(WebhookSerializer):
    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]


@example({"url": "https://lab.example.org/hooks/blindpair"})
class WebhookInputSerializer(StrictSerializer):
    url = serializers.URLField(max_length=500)


@example({"is_active": False})
class WebhookSwitchSerializer(StrictSerializer):
    is_active = serializers.BooleanField()


class DeliverySerializer(serializers.ModelSerializer):
    class Meta:
        model = WebhookDelivery
        fields = ["event", "payload", "attempts", "status_code", "error", "created_at", "delivered_at"]
