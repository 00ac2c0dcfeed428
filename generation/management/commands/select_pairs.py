"""Choose which of a study's pairs take part, by a rule that the study's log records."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.services.pair_selection import SelectionRule, pairs_select
from survey.exceptions import SurveyError
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = __doc__ + " Without options all pairs are selected again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG", help="a draft")
        parser.add_argument("--classes", metavar="A,B", help="labels or names of classes to keep (default: all)")
        parser.add_argument(
            "--minimum-distance", type=float, metavar="D", help="leave out pairs whose images differ less (0 to 1)"
        )
        parser.add_argument("--per-class", type=int, metavar="N", help="draw at most N pairs of each class")
        parser.add_argument("--count", type=int, metavar="N", help="draw at most N pairs in all")
        parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default 0)")

    def handle(self, *, study: str, classes: str | None, **options: Any) -> None:
        try:
            rule = SelectionRule(
                classes=[label.strip() for label in classes.split(",")] if classes else None,
                minimum_distance=options["minimum_distance"],
                per_class=options["per_class"],
                count=options["count"],
                seed=options["seed"],
            )
            found = pairs_select(study=study_get(study), rule=rule, actor="command line")
        except (SurveyError, ValueError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{found.selected} pairs take part; left out: {found.other_class} of another class, "
            f"{found.too_alike} too alike, {found.not_drawn} not drawn"
        )
