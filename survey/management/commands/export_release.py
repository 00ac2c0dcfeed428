"""Write a finished study as a data set that can be published."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import SurveyError
from survey.reports.raters import LEAST_CELL
from survey.reports.release.release import LICENSES, ReleaseOptions, release_write
from survey.services.results.report_build import results_require_visible
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
        parser.add_argument("--license", required=True, help=f"{', '.join(LICENSES)}, or the address of another one")
        parser.add_argument(
            "--arm-name", action="append", default=[], metavar="ARM=NAME", help="publish an arm under another name"
        )
        parser.add_argument("--url", default="", help="where the release will be found")
        parser.add_argument(
            "--least-cell",
            type=int,
            default=LEAST_CELL,
            metavar="K",
            help=f"leave cells of the raters' table empty that fewer raters share (default {LEAST_CELL})",
        )

    def handle(self, *, study: str, out: Path, license: str, arm_name: list[str], url: str, **options: Any) -> None:
        names = dict(entry.partition("=")[::2] for entry in arm_name)
        if not all(names.values()):
            raise CommandError("write --arm-name ARM=NAME")
        try:
            row = study_get(study)
            results_require_visible(row)
            wanted = ReleaseOptions(license=license, arm_names=names, url=url, least_cell=options["least_cell"])
            counts = release_write(row, out, wanted, on_progress=self._progress)
        except (SurveyError, OSError) as error:
            raise CommandError("\n".join(getattr(error, "problems", [str(error)]))) from error
        self.stdout.write(", ".join(f"{count} {name}" for name, count in counts.items()) + f" in {out}")

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{done} of {total} images", ending="" if done < total else "\n")
