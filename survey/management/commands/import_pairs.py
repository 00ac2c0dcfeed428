"""Import finished images of several arms, matched by their path below each arm's folder.

A pairs.csv, .xlsx or .jsonl beside the folders describes the pairs: path, prompt, class, tags, reference, seed.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from survey.exceptions import ImportRefused, SurveyError
from survey.services.images.class_names import class_names_read
from survey.services.images.import_sources import folder_sources, zip_sources
from survey.services.images.importing import ImportReport, images_import, import_check
from survey.services.images.manifest import PairManifest, manifest_read
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--study", required=True, help="slug of a draft")
        parser.add_argument("--arm", action="append", default=[], metavar="NAME=DIR", help="give one per arm")
        parser.add_argument("--zip", type=Path, help="a zip with one folder per arm, instead of --arm")
        parser.add_argument("--classes", type=Path, help="CSV or Excel: class_label,class_name; raters read the name")
        parser.add_argument("--pairs", type=Path, metavar="FILE", help="pairs.csv, .xlsx or .jsonl that lies elsewhere")
        parser.add_argument("--text-prompts", action="store_true", help="the .txt beside an image is its prompt")
        parser.add_argument(
            "--leave-out-unmatched",
            action="store_true",
            help="import the pairs that all arms have",
        )
        parser.add_argument("--check", action="store_true", help="report and import nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            study = study_get(options["study"])
            if options["zip"]:
                if options["arm"]:
                    raise CommandError("give --zip or --arm, not both")
                if not options["zip"].is_file():
                    raise CommandError(f"--zip {options['zip']}: there is no such file")
                manifest = _manifest(options["pairs"])
                with options["zip"].open("rb") as file, zip_sources(file, manifest=manifest) as sources:
                    report = self._run(study, sources, options)
            else:
                sources = folder_sources(_arms(options["arm"]), manifest=options["pairs"])
                report = self._run(study, sources, options)
        except ImportRefused as error:
            for problem in error.problems:
                self.stderr.write(self.style.ERROR(f"- {problem}"))
            raise CommandError(f"nothing was imported: {len(error.problems)} problem(s)") from None
        except (SurveyError, ValidationError) as error:
            raise CommandError(str(error)) from None
        for note in report.notes:
            self.stdout.write(f"- {note}")
        verb = "would be imported" if options["check"] else f"imported, {report.new_pairs} of them new"
        verb += f", {report.changed_pairs} changed" if report.changed_pairs else ""
        self.stdout.write(
            f"{report.pairs} pairs of {', '.join(report.arms)} {verb} (SHA-256 of the list {report.sha256})"
        )

    def _run(self, study: Any, sources: Any, options: dict[str, Any]) -> ImportReport:
        rules = {"leave_out_unmatched": options["leave_out_unmatched"], "on_progress": self._progress}
        rules["are_texts_read"] = options["text_prompts"]
        rules |= {"study": study, "sources": sources, "class_names": _class_names(options["classes"])}
        return import_check(**rules) if options["check"] else images_import(actor="command line", **rules)

    def _progress(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and (done == total or done % 50 == 0):
            self.stderr.write(f"\r{done} of {total} images read", ending="\n" if done == total else "")


def _arms(given: list[str]) -> dict[str, Path]:
    arms: dict[str, Path] = {}
    for name, folder in map(_arm, given):
        if name in arms:
            raise CommandError(f"--arm {name} is given twice, as {arms[name]} and {folder}; give each arm its own name")
        arms[name] = folder
    return arms


def _arm(text: str) -> tuple[str, Path]:
    name, equals, folder = map(str.strip, text.partition("="))
    if not (name and equals and folder):
        raise CommandError(f"--arm {text!r}: give NAME=DIR, for example --arm vanilla=images/vanilla")
    return name, Path(folder)


def _manifest(path: Path | None) -> PairManifest | None:
    try:
        return manifest_read(path.read_bytes(), name=path.name) if path else None
    except OSError as error:
        raise CommandError(f"--pairs {path} cannot be read: {error.strerror}") from None


def _class_names(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return class_names_read(path.read_bytes())
    except OSError as error:
        raise CommandError(f"--classes {path} cannot be read: {error}") from None
