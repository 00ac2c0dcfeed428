"""A worker without a broker: it looks into the job table. ``make worker`` starts it on one machine."""

from __future__ import annotations

import signal
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.console import shown
from jobs.housekeeping import housekeeping_due
from jobs.leaving import end_with_parent, is_leaving, leave_on
from jobs.models import Job
from jobs.runner import job_next, job_run


class Command(BaseCommand):
    help = (
        "Run queued jobs from the job table, one at a time (no broker needed), and show how far each is. "
        "However it ends, the exit code says whether one failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queues", default="default,gpu", help="comma-separated; default: default,gpu")
        parser.add_argument("--once", action="store_true", help="stop when no job is left")
        parser.add_argument(
            "--with-parent", action="store_true", help="stop when standard input ends: the program that started this"
        )

    def handle(self, *, queues: str, once: bool, with_parent: bool, **options: Any) -> None:
        leave_on(signal.SIGTERM)
        if with_parent:
            end_with_parent()
        names = [name.strip() for name in queues.split(",") if name.strip()]
        self.stdout.write(f"waiting for jobs in {', '.join(names)} (Ctrl-C to stop)")
        failed: list[str] = []
        try:
            while not is_leaving():
                housekeeping_due()
                job = job_next(names)
                if job is None:
                    if once:
                        break
                    time.sleep(1.0)
                elif (done := self._run(job)) is not None and done.state == Job.State.FAILED:
                    failed.append(str(done))
        except KeyboardInterrupt:
            self.stdout.write("stopped")
        if failed:
            raise CommandError(f"{len(failed)} job(s) failed: {', '.join(failed)}")

    def _run(self, job: Job) -> Job | None:
        self.stdout.write(f"{job}: started")
        with shown(str(job), self.stderr) as told:
            done = job_run(job.pk, on_progress=told)
        if done is not None:
            reason = f": {done.error.splitlines()[0]}" if done.state == Job.State.FAILED and done.error else ""
            self.stdout.write(f"{done}: {done.state}{reason}")
        return done
