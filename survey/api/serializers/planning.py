"""The shapes of planning."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import StrictSerializer, example
from survey.services.study.criteria import MOST_CRITERIA


@example({"raters": 30, "pairs": 200, "votes_per_rater": 40, "preference": 0.6})
class PlanningInputSerializer(StrictSerializer):
    raters = serializers.IntegerField(min_value=2, max_value=100_000)
    pairs = serializers.IntegerField(min_value=2, max_value=100_000)
    votes_per_rater = serializers.IntegerField(min_value=1, max_value=10_000)
    preference = serializers.FloatField(min_value=0.501, max_value=0.95)
    criteria = serializers.IntegerField(
        min_value=1, max_value=MOST_CRITERIA, default=1, help_text="how many are asked; votes_per_rater are by each"
    )


class PlanningSerializer(serializers.Serializer):
    rate = serializers.FloatField()
    half_width = serializers.FloatField(help_text="of the 95 % interval")
    power = serializers.FloatField()
    power_of_others = serializers.FloatField(
        allow_null=True, help_text="by a criterion beside the headline, at the least that Holm's adjustment leaves it"
    )
    ceiling_power = serializers.FloatField(help_text="with unlimited raters: the pairs are the limit")
    raters_needed = serializers.IntegerField(allow_null=True)
    pairs_needed = serializers.IntegerField(allow_null=True)
    method = serializers.CharField()
