"""The shapes of reports."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from survey.api.serializers.base import StrictSerializer, example
from survey.models import ReportBuild
from survey.services.results.report_build import is_report_readable


@example({"is_pilot": False})
class ReportInputSerializer(StrictSerializer):
    is_pilot = serializers.BooleanField(required=False, default=False)


class ReportSerializer(serializers.ModelSerializer):
    # Names in the storage stay inside: files are asked for by the name in the report.
    files = serializers.SerializerMethodField(help_text="name: {sha256, bytes}")

    verdict = serializers.SerializerMethodField(help_text="what it concludes, while it may be read: kind, text, looks")

    class Meta:
        model = ReportBuild
        fields = [
            "id",
            "is_pilot",
            "is_look",
            "job",
            "data_sha256",
            "ledger_revision",
            "verdict",
            "files",
            "created_at",
            "finished_at",
        ]

    def get_verdict(self, build: ReportBuild) -> dict[str, Any] | None:
        return build.verdict or None if is_report_readable(build) else None

    def get_files(self, build: ReportBuild) -> dict[str, Any]:
        return {name: {key: file[key] for key in ("sha256", "bytes")} for name, file in build.files.items()}
