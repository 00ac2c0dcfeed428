"""The shapes of jobs."""

from __future__ import annotations

from rest_framework import serializers

from jobs.models import Job


class JobMadeSerializer(serializers.Serializer):
    job = serializers.UUIDField(help_text="the job that does it; jobs/ shows how far it is, and its result")


class JobSerializer(serializers.ModelSerializer):
    seconds_left = serializers.FloatField(allow_null=True, help_text="by its pace so far; null while nothing tells")

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "state",
            "attempt",
            "progress_done",
            "progress_total",
            "progress_note",
            "seconds_left",
            "result",
            "error",
            "created_at",
            "finished_at",
        ]
