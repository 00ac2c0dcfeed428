from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import SurveyError
from survey.reports.report import votes_export
from survey.services.results.report_build import results_require_visible
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = "Write the votes, the raters and the pairs of a study as tables, with a data package beside them."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument(
            "--format", default="csv", help="of csv, jsonl, parquet; several separated by commas (default: %(default)s)"
        )
        parser.add_argument(
            "--out", type=Path, default=Path("."), metavar="DIR", help="folder (default: the current one)"
        )
        parser.add_argument("--pilot", action="store_true", help="the pilot's votes instead of the main ones")

    def handle(self, *, study: str, format: str, out: Path, pilot: bool, **options) -> None:
        formats = tuple(name.strip() for name in format.split(",") if name.strip())
        try:
            row = study_get(study)
            results_require_visible(row, is_pilot=pilot)
            package = votes_export(row, out, formats=formats, is_pilot=pilot)
        except (SurveyError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        for resource in package["resources"]:
            self.stdout.write(f"{out / resource['path']}  {resource['rows']} rows  {resource['hash']}")
