"""The shapes of rater sessions and the filters of votes."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import QuerySerializer
from survey.models import RaterSession


class SessionQuerySerializer(QuerySerializer):
    state = serializers.ChoiceField(choices=RaterSession.State.choices, required=False)
    is_pilot = serializers.BooleanField(required=False, default=None, allow_null=True)
    is_simulated = serializers.BooleanField(required=False, default=None, allow_null=True)


class VotesQuerySerializer(serializers.Serializer):
    as_format = serializers.ChoiceField(choices=["csv", "jsonl"], default="csv", required=False)
    is_pilot = serializers.BooleanField(required=False, default=False)


class SessionSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="version.number")

    class Meta:
        model = RaterSession
        fields = [
            "id",
            "rater",
            "version",
            "state",
            "outcome",
            "is_pilot",
            "is_simulated",
            "is_entry_verified",
            "language",
            "consent_language",
            "trial_count",
            "answered_count",
            "started_at",
            "finished_at",
        ]
