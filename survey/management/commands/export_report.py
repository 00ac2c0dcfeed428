from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import SurveyError
from survey.reports.report import report_write
from survey.services.results.report_build import results_require_visible
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = "Write the report of a study, computed from the exported votes beside it."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR")
        parser.add_argument("--arm", help="the arm whose preference rate is reported (default: the plan's)")
        parser.add_argument("--baseline", help="the arm it is compared with")
        parser.add_argument("--pilot", action="store_true", help="report the pilot's votes instead of the main ones")
        parser.add_argument("--seed", type=int, default=0, help="of the resampling methods (default: %(default)s)")

    def handle(self, *, study: str, out: Path, arm, baseline, pilot: bool, seed: int, **options) -> None:
        try:
            row = study_get(study)
            results_require_visible(row, is_pilot=pilot)
            out.parent.mkdir(parents=True, exist_ok=True)
            # Beside its place, and moved in once it is whole: a full disk leaves nothing half-written.
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
                made = Path(scratch) / "report"
                report = report_write(row, made, arm=arm, baseline=baseline, is_pilot=pilot, seed=seed)
                shutil.copytree(made, out, copy_function=os.replace, dirs_exist_ok=True)
        except (SurveyError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(report["text"]["lead"])
        self.stdout.write(f"report: {out / 'report.html'}")
