"""The shapes of personal links, erasures and the comparison with a panel."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import StrictSerializer, example
from survey.models import Erasure


@example({"panel_id": "5f2c0a9be1d34b0012ab34cd"})
class ErasureInputSerializer(StrictSerializer):
    panel_id = serializers.CharField(max_length=200)


class ErasureSerializer(serializers.ModelSerializer):
    """The proof that is left: a digest that a later request for the same id can be held against."""

    class Meta:
        model = Erasure
        fields = ["identity_digest", "votes_kept", "erased_at"]


class PanelRowSerializer(StrictSerializer):
    submission = serializers.CharField(max_length=200)
    status = serializers.CharField(max_length=40)
    code = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")


@example({"submissions": [{"submission": "65f0a1b2", "status": "APPROVED", "code": "C1ABCD"}]})
class ReconcileInputSerializer(StrictSerializer):
    """The panel's submissions, as its own API or export lists them."""

    submissions = PanelRowSerializer(many=True, allow_empty=False)


class DifferenceSerializer(serializers.Serializer):
    kind = serializers.CharField()
    submission = serializers.CharField()
    detail = serializers.CharField()
    remedy = serializers.CharField()


class ReconciliationSerializer(serializers.Serializer):
    matched = serializers.IntegerField()
    differences = DifferenceSerializer(many=True)


@example({"count": 30})
class LinksInputSerializer(StrictSerializer):
    count = serializers.IntegerField(min_value=1, max_value=10_000)


class LinkBatchSerializer(serializers.Serializer):
    batch = serializers.IntegerField()
    count = serializers.IntegerField()
    revoked = serializers.IntegerField(help_text="links of the batch that were closed")


class LinksSerializer(serializers.Serializer):
    batch = serializers.IntegerField()
    links = serializers.ListField(child=serializers.CharField(), help_text="in the order of their numbers")
