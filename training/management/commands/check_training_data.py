"""Read every image that a training run would, and report what cannot be used."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.console import shown
from training.presets import parse_change

# Images that are named one by one before they are counted together.
SHOWN = 3


class Command(BaseCommand):
    help = __doc__ + " Fails if the run would."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--config", required=True, metavar="C", help="a preset or a .toml file")
        parser.add_argument("--data", metavar="PATH", help="folder or file of the images")
        parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="change a setting")

    def handle(self, *, config: str, data: str | None, **options: Any) -> None:
        # Torch is loaded from here on.
        from training.data.batches import open_data
        from training.learning.config import read_config
        from training.learning.loop import check_classes

        try:
            changes = dict(parse_change(text) for text in options["set"])
            if data:
                changes["data.path"] = str(Path(data).resolve())
            settings = read_config(config, changes=changes)
            train = open_data(settings.data, split="train")
            check_classes(settings, train)
            report = self._check("train", train, settings)
            problems = len(report.problems)
            held_out = open_data(settings.data, split="validation", class_names=train.source.class_names)
            if len(held_out.indices):
                other = self._check("validation", held_out, settings)
                problems += len(other.problems)
                self._say_shared(report, other)
            else:
                self.stdout.write("validation: no images; give data.validation_path, or a data.validation_share")
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        if problems:
            raise CommandError(f"{problems} image(s) would stop the run; do as the messages say")

    def _say_shared(self, train: Any, held_out: Any) -> None:
        """Say which held-out images are training images: what is measured on them says nothing."""
        shared = [(where, train.seen[digest]) for digest, where in held_out.seen.items() if digest in train.seen]
        if shared:
            self.stdout.write(f"  {len(shared)} of them are training images too, pixel by pixel: {_pairs(shared)}")

    def _check(self, split: str, images: Any, settings: Any) -> Any:
        """Read one split, say what was found, and return it."""
        from training.data.batches import check_data

        with shown(f"reading images: {split}", self.stderr) as told:
            report = check_data(
                images,
                settings.data,
                side=settings.network.image_size,
                channels=settings.network.in_channels,
                on_progress=lambda done, total: told(done, total, "images"),
            )
        source = images.source
        for line in (
            *getattr(source, "notes", ()),
            *(f"some image {note}" for note in getattr(source, "noted", ())),
            *grouped(report.problems),
            *grouped(report.skipped, "left out: "),
        ):
            self.stderr.write(line)
        counts = report.class_counts
        lacking = [name for name, count in counts.items() if not count]
        self.stdout.write(
            f"{split}: {report.images} images of {len(counts) - len(lacking)} classes, "
            f"{min(count for count in counts.values() if count)} to {max(counts.values())} in a class, "
            f"{len(report.problems)} that cannot be used, {len(report.skipped)} left out"
        )
        if lacking:
            self.stdout.write(f"  none of class {', '.join(lacking[:SHOWN])}{', ...' if len(lacking) > SHOWN else ''}")
        if report.repeats:
            self.stdout.write(f"  {len(report.repeats)} repeat another, pixel by pixel: {_pairs(report.repeats)}")
        return report


def _pairs(found: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{one} = {other}" for one, other in found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")


def grouped(messages: Sequence[tuple[str, str]], start: str = "") -> Iterator[str]:
    """Yield a line for every image, or one for all of which the same is said but for its numbers."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for where, what in messages:
        # Sizes differ from image to image where the fault is one.
        alike.setdefault(re.sub(r"\d+", "N", what), []).append((where, what))
    for found in alike.values():
        if len(found) <= SHOWN:
            yield from (f"{start}{where} {what}" for where, what in found)
        else:
            places = ", ".join(where for where, _ in found[:SHOWN])
            yield f"{start}{len(found)} images, {places}, ...: the first {found[0][1]}"
