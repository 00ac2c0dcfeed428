"""The shapes of planning."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import StrictSerializer, example
from survey.services.study.criteria import MOST_CRITERIA


@example({"raters": 30, "pairs": 200, "votes_per_rater": 40, "votes_per_pair": 6, "preference": 0.6})
class PlanningInputSerializer(StrictSerializer):
    raters = serializers.IntegerField(min_value=2, max_value=100_000)
    pairs = serializers.IntegerField(min_value=2, max_value=100_000)
    votes_per_rater = serializers.IntegerField(min_value=1, max_value=10_000)
    votes_per_pair = serializers.IntegerField(
        min_value=1,
        max_value=100_000,
        allow_null=True,
        default=None,
        help_text="where a pair is full, by each criterion: raters beyond the places count for nothing",
    )
    preference = serializers.FloatField(min_value=0.501, max_value=0.95)
    criteria = serializers.IntegerField(
        min_value=1, max_value=MOST_CRITERIA, default=1, help_text="how many are asked; votes_per_rater are by each"
    )


class PlanningSerializer(serializers.Serializer):
    raters_with_places = serializers.IntegerField(help_text="who can vote before every pair has its votes")
    votes = serializers.IntegerField(help_text="that they give")
    rate = serializers.FloatField()
    half_width = serializers.FloatField(help_text="of the 95 % interval")
    power = serializers.FloatField()
    power_of_others = serializers.FloatField(
        allow_null=True, help_text="by a criterion beside the headline, at the least that Holm's adjustment leaves it"
    )
    ceiling_power = serializers.FloatField(help_text="with unlimited raters: the pairs are the limit")
    raters_needed = serializers.IntegerField(allow_null=True)
    votes_per_pair_needed = serializers.IntegerField(
        allow_null=True, help_text="places that the raters needed take on each pair"
    )
    pairs_needed = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(allow_null=True, help_text="what limits the design")
    method = serializers.CharField()
