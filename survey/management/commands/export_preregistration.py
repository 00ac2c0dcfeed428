"""Print the frozen plan of a study for registration: the usual forms in words, or a human evaluation datasheet."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import SurveyError
from survey.reports.heds import heds_text
from survey.reports.preregistration import preregistration_text
from survey.selectors.version import version_current
from survey.services.study.study import study_get

FORMS = {"text": preregistration_text, "heds": heds_text}


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument(
            "--form",
            choices=list(FORMS),
            default="text",
            help="text: AsPredicted's and OSF's questions; heds: JSON to upload to the HEDS 3.0 form "
            "(default: %(default)s)",
        )

    def handle(self, *, study: str, form: str, **options: Any) -> None:
        try:
            version = version_current(study_get(study))
        except SurveyError as error:
            raise CommandError(str(error)) from error
        if version is None:
            raise CommandError(f"{study} has no frozen version yet; freeze it, then register the plan before opening")
        self.stdout.write(FORMS[form](version), ending="")
