"""What `train_classifier` and `train_denoiser` share."""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from jobs.console import Report, Stopped, shown
from jobs.exceptions import JobError
from jobs.leaving import end_with_parent
from training.learning.config import config_from_dict
from training.models import TrainingRun
from training.presets import ConfigError, parse_change, preset_names, read_settings
from training.services import State, run_create, run_enqueue, run_errors_recorded, run_extend, run_restart


class TrainCommand(BaseCommand):
    """Trains a run by name, here or on the workers; the same command again continues it."""

    task = ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--config", required=True, metavar="C", help=f"a .toml file or a preset: {', '.join(preset_names())}"
        )
        parser.add_argument("--name", help="name of the run and its folder (default: the preset's name)")
        parser.add_argument("--data", metavar="PATH", help="folder or file of the images")
        parser.add_argument(
            "--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="change a setting; may be repeated"
        )
        parser.add_argument(
            "--resume",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="continue a stopped run (default); --no-resume starts afresh",
        )
        parser.add_argument(
            "--extend", type=int, metavar="ITERATIONS", help="let a run that was finished go on for so many iterations"
        )
        parser.add_argument(
            "--init", metavar="CHECKPOINT", help="begin with these weights; the checkpoints of the run record it"
        )
        parser.add_argument("--queue", action="store_true", help="leave the run to the GPU workers")
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            metavar="N",
            help="GPUs to use on one machine, through torchrun (default: %(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="progress as JSON lines, for a program that shows it")
        parser.add_argument(
            "--with-parent", action="store_true", help="save and stop when standard input ends, with whoever holds it"
        )

    def changes(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the changed settings that the options ask for."""
        changes = dict(parse_change(text) for text in options["set"])
        if options["data"]:
            changes["data.path"] = str(Path(options["data"]).resolve())
        if options["init"]:
            changes["init"] = str(Path(options["init"]).resolve())
        return changes

    def handle(self, *, config: str, queue: bool, resume: bool, **options: Any) -> None:
        if options["with_parent"]:
            end_with_parent()
        try:
            changes = self.changes({"config": config, **options})
            values = read_settings(config, changes=changes)
            if values.get("task") != self.task:
                raise ConfigError(f"{config} trains a {values.get('task')}, not a {self.task}")
            if not queue:
                _check_start(values)
            name = options["name"] or values.get("name") or Path(config).stem
            run = self._run(name, config, changes, options["processes"], resume=resume)
            if options["extend"] is not None:
                run_extend(run, iterations=options["extend"])
            if run.is_trained:
                self.stdout.write(f"{name}: trained already, {run.folder / 'last.safetensors'}")
            elif queue:
                run_enqueue(run)
                self.stdout.write(f"queued {name}; GPU workers or `manage.py run_jobs` train it")
            else:
                self._train(run, resume=resume, report=self._report_in_json if options["json"] else None)
        except (JobError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error

    def _report_in_json(self, done: float, total: float, note: str = "") -> None:
        self.stdout.write(json.dumps({"done": done, "total": total, "note": note}))
        self.stdout.flush()

    def _run(self, name: str, config: str, changes: dict, processes: int, *, resume: bool) -> TrainingRun:
        if not resume and (old := TrainingRun.objects.filter(name=name).first()):
            run_restart(old, preset=config, changes=changes)
        return run_create(name=name, preset=config, changes=changes, processes=processes)

    def _train(self, run: TrainingRun, *, resume: bool, report: Report | None) -> None:
        # Torch is loaded from here on: what could be refused without it has been.
        from diffusion.device import chosen_device
        from training.worker import train_run

        with run_errors_recorded(run):
            device = chosen_device(settings.TORCH_DEVICE)
        self.stdout.write(f"{run.name}: on {device}, into {run.folder}")
        began = time.monotonic()
        with asked_to_stop() as stopped, shown(f"training {run.name}", self.stderr, report) as told:
            result = train_run(
                run,
                resume=resume,
                should_stop=lambda: stopped() or _is_cancelled(run),
                on_progress=lambda made: told(
                    made.iteration,
                    made.iterations,
                    # Nothing is measured before the first row of the log.
                    ", ".join(filter(None, (made.measured, f"{made.images_per_second:.0f} images/s"))),
                ),
            )
            if result.state == "paused":
                raise Stopped(f"stopped at iteration {result.iteration}; the same command continues")
        numbers = {name: value for name, value in result.metrics.items() if isinstance(value, float)}
        measured = ", ".join(f"{name} {value:.4g}" for name, value in sorted(numbers.items()))
        self.stdout.write(f"{run.name}: trained in {time.monotonic() - began:.0f} s, {result.checkpoint}")
        if measured:
            self.stdout.write(f"  on held-out images: {measured}")


def _check_start(values: dict[str, Any]) -> None:
    """Refuse a start that training here would refuse, before anything is stored.

    A worker elsewhere may have a file that is not here, so an order for the queue is left to it.
    """
    config = config_from_dict(values)
    if config.init:
        # Torch is loaded from here on.
        from training.learning.start import check_init

        check_init(config)


def _is_cancelled(run: TrainingRun, _asked: dict[int, float] = {}) -> bool:  # noqa: B006  the cache is the point
    """Ask the database once in two seconds whether somebody cancelled the run."""
    now = time.monotonic()
    if now - _asked.get(run.pk, 0.0) < 2.0:
        return False
    _asked[run.pk] = now
    return TrainingRun.objects.filter(pk=run.pk, state=State.CANCELLED).exists()


@contextmanager
def asked_to_stop() -> Iterator[Any]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop, so that training saves; a second one ends at once."""
    wishes: list[int] = []

    def note(number: int, _frame: Any) -> None:
        wishes.append(number)
        signal.signal(number, signal.default_int_handler)

    if threading.current_thread() is not threading.main_thread():  # whoever called takes care of signals
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wishes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
