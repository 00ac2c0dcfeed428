"""Make the matched-seed pairs of a study: the same class and noise for every arm."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from generation.models import GenerationRun, GenerationShard
from generation.selectors import run_complete_pairs, shards_missing
from generation.services.order import (
    classes_asked,
    run_create,
    run_enqueue_shards,
    run_errors_recorded,
    run_require_draft,
)
from jobs.console import Report, Stopped, shown
from jobs.exceptions import JobError
from survey.exceptions import SurveyError
from survey.services.study.study import study_get


class Command(BaseCommand):
    # Given by a command that shows several of these on its own board.
    stealth_options = ("report",)
    help = __doc__ + " Repeating the command makes only what is missing; a larger --pairs adds more."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG", help="a draft whose arms have recipes")
        parser.add_argument(
            "--pairs", required=True, type=int, metavar="N", help="pairs in all, spread over the classes"
        )
        parser.add_argument(
            "--classes", metavar="207,360", help="classes, by number or name (default: all that the networks know)"
        )
        parser.add_argument("--seed", type=int, help="seed of the noise (default: the study's seed)")
        parser.add_argument("--batch", type=int, metavar="B", help="pairs made at once (default 16)")
        parser.add_argument("--shard", type=int, metavar="P", help="pairs a worker makes at a time (default 4 batches)")
        parser.add_argument(
            "--factor",
            action="append",
            default=[],
            metavar="FIELD",
            help="also allow the arms to differ in this; may be repeated",
        )
        parser.add_argument(
            "--minimum-distance", type=float, metavar="D", help="leave out pairs whose images differ less"
        )
        parser.add_argument(
            "--check-files", action="store_true", help="compare stored files with their digests and fix them"
        )
        parser.add_argument("--queue", action="store_true", help="split the work into shards for the GPU workers")

    def handle(self, *, study: str, queue: bool, check_files: bool, **options: Any) -> None:
        try:
            row = study_get(study)
            run = run_create(
                study=row,
                pairs=options["pairs"],
                classes=classes_asked(row, options["classes"], options["factor"]) if options["classes"] else None,
                seed=options["seed"],
                micro_batch=options["batch"],
                shard_pairs=options["shard"],
                factors=options["factor"],
                minimum_distance=options["minimum_distance"],
                actor="command line",
            )
            if check_files and run.classes is not None:
                self._check_files(run)
            if run.classes is not None and not shards_missing(run):
                self._close(run)
                self.stdout.write(f"{study}: all {run.pairs} pairs are there, nothing to do")
                return
            run_require_draft(run)
            self._start(run, queue, options.get("report"))
        except (SurveyError, JobError, ValueError, OSError, MemoryError) as error:
            raise CommandError(str(error)) from error

    def _close(self, run: GenerationRun) -> None:
        """Close an order of which nothing is missing, where its last worker died over that."""
        if run.state in (run.State.PLANNING, run.State.GENERATING) or not run.manifest_file:
            from generation.worker.order import run_settle

            run_settle(run)

    def _check_files(self, run: GenerationRun) -> None:
        from diffusion.device import chosen_device
        from generation.sampling.networks import NetworkStore
        from generation.worker.repair import files_damaged, files_repair

        damaged = files_damaged(run)
        if not damaged:
            self.stdout.write("all files of the pairs that are there have their recorded digests")
            return
        report = files_repair(run, damaged, store=NetworkStore(chosen_device(settings.TORCH_DEVICE)))
        self.stdout.write(f"{len(damaged)} files were missing or damaged; {len(report.repaired)} made again")
        if report.not_reproduced:
            raise CommandError(
                f"{len(report.not_reproduced)} files came out with other bytes, "
                f"the first is {report.not_reproduced[0]}: "
                "this machine or batch shape is not the one that made them; restore them from a backup"
            )

    def _start(self, run: GenerationRun, queue: bool, report: Report | None) -> None:
        # Torch is loaded from here on: what could be refused without it has been.
        from diffusion.device import chosen_device
        from generation.sampling.networks import NetworkStore
        from generation.worker.order import run_plan

        with run_errors_recorded(run, ends=True):
            store = NetworkStore(chosen_device(settings.TORCH_DEVICE))
            run_plan(run, store)
        if queue:
            shards = run_enqueue_shards(run)
            self.stdout.write(f"queued {shards} shards of {run}; GPU workers or `manage.py run_jobs` take them")
        else:
            self._make(run, store, report)

    def _make(self, run: GenerationRun, store: Any, report: Report | None) -> None:
        from generation.worker.order import make_pairs, run_settle

        there = run_complete_pairs(run).count()
        self.stdout.write(f"{run}: {there} of {run.pairs} pairs are there, on {store.device}")
        made = 0
        try:
            with (
                shown(f"making pairs of {run.study.slug}", self.stderr, report) as told,
                run_errors_recorded(run, ends=True),
            ):
                for number in shards_missing(run):
                    if GenerationRun.objects.filter(pk=run.pk, state=run.State.CANCELLED).exists():
                        raise CommandError(f"{run}: cancelled; the same command continues it")
                    before = there + made
                    made += make_pairs(
                        run,
                        GenerationShard(run=run, number=number).positions,
                        store=store,
                        progress=lambda done, total, note, before=before: told(before + done, run.pairs, note),
                    )
        except KeyboardInterrupt:
            raise Stopped(
                f"stopped with {run_complete_pairs(run).count()} of {run.pairs} pairs; the same command continues"
            ) from None
        run_settle(run)
        run.refresh_from_db()
        self.stdout.write(f"made {made} pairs; manifest {run.manifest_file}")
