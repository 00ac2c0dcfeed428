"""The shapes of arms."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from survey.api.serializers.base import CheckedJSON, StrictSerializer, example
from survey.models import Arm


def _object_problems(value: Any) -> list[str]:
    return [] if isinstance(value, dict) else ["This is not a JSON object."]


class ArmSerializer(serializers.ModelSerializer):
    class Meta:
        model = Arm
        fields = ["name", "title", "description", "recipe"]


@example({"name": "robust", "description": "guided by the robust classifier"})
class ArmInputSerializer(StrictSerializer):
    name = serializers.SlugField(max_length=60)
    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    description = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    recipe = CheckedJSON(_object_problems, required=False, default=dict)


@example({"name": "robust_l2"})
class ArmRenameSerializer(StrictSerializer):
    name = serializers.SlugField(max_length=60)
