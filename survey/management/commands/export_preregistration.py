"""Print the frozen plan of a study in the order of the usual registration forms."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import SurveyError
from survey.reports.preregistration import preregistration_text
from survey.selectors.version import version_current
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")

    def handle(self, *, study: str, **options: Any) -> None:
        try:
            version = version_current(study_get(study))
        except SurveyError as error:
            raise CommandError(str(error)) from error
        if version is None:
            raise CommandError(f"{study} has no frozen version yet; freeze it, then register the plan before opening")
        self.stdout.write(preregistration_text(version), ending="")
