"""The shape of a person's role."""

from __future__ import annotations

from rest_framework import serializers

from survey.api.serializers.base import example
from survey.models import StudyMember


@example({"user": "berta", "role": "viewer"})
class MemberSerializer(serializers.ModelSerializer):
    user = serializers.CharField(source="user.username", max_length=150)

    class Meta:
        model = StudyMember
        fields = ["user", "role"]
