"""The shapes of planning."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import StrictSerializer, example


@example({"raters": 30, "pairs": 200, "votes_per_rater": 40, "preference": 0.6})
class PlanningInputSerializer(StrictSerializer):
    raters = serializers.IntegerField(min_value=2, max_value=100_000)
    pairs = serializers.IntegerField(min_value=2, max_value=100_000)
    votes_per_rater = serializers.IntegerField(min_value=1, max_value=10_000)
    preference = serializers.FloatField(min_value=0.501, max_value=0.95)


class PlanningSerializer(serializers.Serializer):
    rate = serializers.FloatField()
    half_width = serializers.FloatField(help_text="of the 95 % interval")
    power = serializers.FloatField()
    ceiling_power = serializers.FloatField(help_text="with unlimited raters: the pairs are the limit")
    raters_needed = serializers.IntegerField(allow_null=True)
    pairs_needed = serializers.IntegerField(allow_null=True)
    method = serializers.CharField()
