"""Read every image that a training run would, and report what cannot be used."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.console import shown
from training.presets import parse_change


class Command(BaseCommand):
    help = __doc__ + " Fails if the run would."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--config", required=True, metavar="C", help="a preset or a .toml file")
        parser.add_argument("--data", metavar="PATH", help="folder or file of the images")
        parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="change a setting")

    def handle(self, *, config: str, data: str | None, **options: Any) -> None:
        # Torch is loaded from here on.
        from training.data.batches import check_data, open_data
        from training.learning.config import read_config
        from training.learning.loop import check_classes

        try:
            changes = dict(parse_change(text) for text in options["set"])
            if data:
                changes["data.path"] = str(Path(data).resolve())
            settings = read_config(config, changes=changes)
            problems, class_names = 0, None
            for split in ("train", "validation"):
                images = open_data(settings.data, split=split, class_names=class_names)
                class_names = images.source.class_names
                check_classes(settings, images)
                with shown(f"reading images: {split}", self.stderr) as told:
                    report = check_data(
                        images,
                        settings.data,
                        side=settings.network.image_size,
                        channels=settings.network.in_channels,
                        on_progress=told,
                    )
                self._say(split, report, images.source)
                problems += len(report.problems)
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        if problems:
            raise CommandError(f"{problems} image(s) would stop the run; do as the messages say")

    def _say(self, split: str, report: Any, source: Any) -> None:
        changed = (f"some image {note}" for note in getattr(source, "noted", ()))
        for line in (
            *getattr(source, "notes", ()),
            *changed,
            *report.problems,
            *(f"left out: {text}" for text in report.skipped),
        ):
            self.stderr.write(line)
        counts = report.class_counts.values()
        self.stdout.write(
            f"{split}: {report.images} images of {len(counts)} classes, {min(counts)} to {max(counts)} in a class, "
            f"{len(report.problems)} that cannot be used, {len(report.skipped)} left out"
        )
