"""The shape of the audit log."""

from __future__ import annotations

from rest_framework import serializers

from survey.models import AuditEntry


class AuditSerializer(serializers.ModelSerializer):
    class Meta:
        model = AuditEntry
        fields = ["number", "actor", "action", "detail", "at", "previous_sha256", "sha256"]
