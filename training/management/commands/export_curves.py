"""Write what a training run has logged as a table and as charts, and for TensorBoard."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diffusion.files import write_atomically
from training.curves import curves_picture, curves_table, read_log
from training.models import TrainingRun


class Command(BaseCommand):
    help = __doc__ + " Reads the run's whole log; the curves of the admin have rows left out."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="the run's name")
        parser.add_argument("--out", type=Path, metavar="DIR", help="folder (default: the run's)")
        parser.add_argument(
            "--tensorboard", type=Path, metavar="DIR", help="also write event files there (needs tensorboardX)"
        )

    def handle(self, *, name: str, out: Path | None, tensorboard: Path | None, **options: Any) -> None:
        try:
            run = TrainingRun.objects.get(name=name)
            rows = read_log(run.folder / "log.jsonl")
            if not rows:
                raise ValueError(f"{run.folder} holds no log yet; train the run first, on this machine's storage")
            out = out or run.folder
            for file, text in (("log.csv", curves_table(rows)), ("curves.svg", curves_picture(rows))):
                write_atomically(out / file, [text.encode()])
                self.stdout.write(str(out / file))
            if tensorboard is not None:
                write_events(rows, tensorboard / name)
                self.stdout.write(f"{tensorboard}: look at it with `tensorboard --logdir {tensorboard}`")
        except TrainingRun.DoesNotExist:
            known = ", ".join(TrainingRun.objects.values_list("name", flat=True)[:20])
            raise CommandError(f"no training run {name!r}; known: {known or 'none'}") from None
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error


def write_events(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write every number of a log as an event of TensorBoard, held-out ones under the training ones' names.

    Raises
    ------
    ValueError
        tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ValueError("event files need tensorboardX: pip install 'blindpair[tensorboard]'") from None
    with SummaryWriter(str(folder)) as writer:
        for row in rows:
            for name, value in row.items():
                if name != "iteration" and isinstance(value, int | float):
                    part = "validation" if name.startswith("validation_") else "training"
                    writer.add_scalar(f"{name.removeprefix('validation_')}/{part}", value, row["iteration"])
