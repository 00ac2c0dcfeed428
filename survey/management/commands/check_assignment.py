"""``manage.py check_assignment``: draw slots and visits of a study again from their seeds, and compare."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import StudyUnknown
from survey.services.assignment.verify import version_problem, visits_redrawn
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = (
        "Draw the sides of all slots again from the seed of the study, and the sides, order and checks of all visits "
        "from what was recorded of each. Fails where anything stored is not as drawn."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")

    def handle(self, **options: Any) -> None:
        try:
            study = study_get(options["study"])
        except StudyUnknown as error:
            raise CommandError(str(error)) from None
        found = []
        for version in study.versions.order_by("number"):
            if problem := version_problem(version):
                found.append(f"version {version.number}: {problem}")
        visits = trials = 0
        for visit in visits_redrawn(study):
            visits, trials = visits + 1, trials + len(visit.trials)
            found += [f"{visit.session}: {problem}" for problem in visit.problems]
        for problem in found:
            self.stderr.write(problem)
        if found:
            raise CommandError(f"{len(found)} findings in {visits} visits and the slots of {study.slug}: see above")
        self.stdout.write(f"all slots, and {trials} trials of {visits} visits, are as drawn")
