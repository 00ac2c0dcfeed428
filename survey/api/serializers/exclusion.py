"""The shapes of exclusions."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from survey.api.serializers.base import CheckedJSON, StrictSerializer, example
from survey.models import Exclusion
from survey.services.study.plan import rule_problems


class ExclusionSerializer(serializers.ModelSerializer):
    made_by = serializers.StringRelatedField()

    class Meta:
        model = Exclusion
        fields = [
            "id",
            "session",
            "rule",
            "rule_version",
            "reason",
            "made_by",
            "made_at",
            "revoked_at",
            "revoke_reason",
        ]


@example({"rules": [{"rule": "too_fast"}], "is_preview": True})
class ExclusionInputSerializer(StrictSerializer):
    """One session by hand, or the sessions that rules flag; ``is_preview`` writes nothing."""

    session = serializers.UUIDField(required=False)
    reason = serializers.CharField(max_length=300, required=False)
    rules = CheckedJSON(rule_problems, required=False, help_text="default: the frozen plan's")
    is_pilot = serializers.BooleanField(required=False, default=False)
    is_preview = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # A reason without a session would be lost, and the rules applied instead.
        if ("session" in attrs) != ("reason" in attrs):
            raise serializers.ValidationError("An exclusion by hand needs both a session and a reason.")
        return attrs


class ProposalSerializer(serializers.Serializer):
    session = serializers.UUIDField(source="session_id")
    rule = serializers.CharField()
    rule_version = serializers.IntegerField()
    reason = serializers.CharField()
    is_in_force = serializers.BooleanField()


@example({"reason": "the rater wrote to us: the flash was off"})
class ReasonSerializer(StrictSerializer):
    reason = serializers.CharField(max_length=300)
