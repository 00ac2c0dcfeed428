"""The shape of a study's progress."""

from __future__ import annotations

from rest_framework import serializers


class PhaseSerializer(serializers.Serializer):
    name = serializers.CharField()
    started = serializers.IntegerField()
    working = serializers.IntegerField()
    completed = serializers.IntegerField()
    dropped = serializers.IntegerField()
    refused = serializers.IntegerField()
    votes = serializers.IntegerField()


class FlagSerializer(serializers.Serializer):
    name = serializers.CharField()
    count = serializers.IntegerField()
    total = serializers.IntegerField()
    meaning = serializers.CharField()


class ProgressSerializer(serializers.Serializer):
    """How a study goes; never which arm is preferred."""

    wanted = serializers.IntegerField()
    answered = serializers.IntegerField()
    reserved = serializers.IntegerField()
    target_raters = serializers.IntegerField()
    median_seconds = serializers.FloatField(allow_null=True)
    counted_votes = serializers.IntegerField(help_text="votes of the first phase that times and flags rest on")
    is_whole = serializers.BooleanField(help_text="false while votes are left to count: ask again")
    phases = PhaseSerializer(many=True)
    flags = FlagSerializer(many=True)
