"""The shapes of jobs."""

from __future__ import annotations

from rest_framework import serializers

from jobs.models import Job


class JobMadeSerializer(serializers.Serializer):
    job = serializers.UUIDField(help_text="the job that does it; jobs/ shows how far it is, and its result")


class JobSerializer(serializers.ModelSerializer):
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
            "result",
            "error",
            "created_at",
            "finished_at",
        ]
