"""`make demo`: the main job on real images, from training to a study that is open for raters."""

from __future__ import annotations

import io
import secrets
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.panel import Panel

from config.management.demo import serving
from config.management.demo import study as demo
from config.management.demo.recipe import NOW
from config.management.demo.training import recipe_of_this_demo, train_side_by_side, usable_cores
from jobs.console import Board, Report, Stopped, console_of
from survey.models import ImageMetric, Study
from training.models import Checkpoint


class Command(BaseCommand):
    help = (
        "Train on handwritten digits, make matched-seed pairs, rehearse a study with simulated raters, and serve it. "
        "Interrupted anywhere, the same command continues."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="stop after the rehearsal and its report")
        parser.add_argument("--pairs", type=int, default=100, help="matched-seed pairs to make (default 100)")
        parser.add_argument("--raters", type=int, default=24, help="simulated raters of the rehearsal (default 24)")
        parser.add_argument("--address", default="127.0.0.1:8000", help="where to serve (default 127.0.0.1:8000)")
        parser.add_argument("--access-log", action="store_true", help="print a line for each request")
        parser.add_argument("--out", type=Path, help="with --no-serve: folder of the report (default var/demo-report)")

    def handle(self, *, no_serve: bool, address: str, **options: Any) -> None:
        host, port = serving.address_parsed(address)
        if options["raters"] < 2 or options["pairs"] < 2:
            raise CommandError("--raters and --pairs must be at least 2: one has no spread to compute an interval from")
        if not no_serve:
            serving.address_require_free(host, port)
        serving.interrupt_on_signals()
        try:
            password, rehearsal = self._prepare(**options)
            if no_serve:
                self._write_report(rehearsal, options["out"] or settings.DATA_DIR / "demo-report")
            else:
                self._serve(host, port, password, rehearsal, access_log=options["access_log"])
        except (KeyboardInterrupt, Stopped):
            self.stdout.write("\nStopped. make demo continues from here.")
            # As a shell has it for what Ctrl-C ended.
            sys.exit(130)

    def _prepare(self, *, pairs: int, raters: int, **options: Any) -> tuple[str, Study]:
        """Do what is not done yet; return the researcher's password and the rehearsed study."""
        database, made = "Prepare the database", f"Make {pairs} matched-seed pairs"
        measured, opened = "Compare both arms with the real digits", "Freeze and open the study"
        rehearsed, reported = f"Rehearse with {raters} simulated raters", "Build the rehearsal's report"
        trained = [network.title for network in NOW.networks]
        phases = [database, *trained, made, measured, opened, rehearsed, reported]
        with Board(phases, self.stderr) as board:
            with board.phase(database):
                self._call("migrate", verbosity=0)
            train_side_by_side(recipe_of_this_demo().networks, board, cores=usable_cores())
            owner, password = _researcher()
            study = demo.demo_study(owner)
            with board.phase(made) as report:
                self._call("generate_pairs", study=study.slug, pairs=pairs, report=report)
            with board.phase(measured) as report:
                self._measure(study, report)
            with board.phase(opened):
                demo.study_open(study, owner)
                rehearsal = demo.rehearsal_study(study, owner, raters=raters)
            is_rehearsed = demo.is_rehearsed(rehearsal)
            with board.phase(rehearsed) as report:
                if not is_rehearsed:
                    self._rehearse(rehearsal, raters, report)
            with board.phase(reported):
                if not is_rehearsed:
                    demo.rehearsal_report(rehearsal, owner)
        return password, rehearsal

    def _call(self, command: str, **options: Any) -> None:
        """Run a command whose progress stands on the board, without the lines that it prints where it runs alone."""
        call_command(command, stdout=io.StringIO(), stderr=io.StringIO(), **options)

    def _measure(self, study: Study, report: Report) -> None:
        if ImageMetric.objects.filter(arm__study=study).exists():
            return
        run = recipe_of_this_demo().run("judge")
        judge = Checkpoint.objects.get(run__name=run, role=Checkpoint.Role.LAST)
        options = {"reference": "digits", "features": "classifier", "weights": judge.path, "minimum": 50}
        self._call("evaluate_images", study=study.slug, report=report, **options)

    def _rehearse(self, rehearsal: Study, raters: int, report: Report) -> None:
        self._call(
            "simulate_raters", study=rehearsal.slug, raters=raters, arm=demo.ARM, report=report, **demo.SIMULATED
        )

    def _write_report(self, rehearsal: Study, out: Path) -> None:
        call_command(
            "export_report", study=rehearsal.slug, out=out, arm=demo.ARM, baseline=demo.BASELINE, stdout=self.stdout
        )
        truth = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in demo.SIMULATED.items())
        self.stdout.write(f"simulated: {truth}")

    def _serve(self, host: str, port: int, password: str, rehearsal: Study, *, access_log: bool) -> None:
        settings.PUBLIC_URL = f"http://{host}:{port}"
        server = serving.server_on(host, port, access_log=access_log)
        with serving.worker_beside():
            self._box(settings.PUBLIC_URL, password, rehearsal)
            serving.serve(server)
        self.stdout.write("Stopped. make demo starts it again in seconds.")

    def _box(self, url: str, password: str, rehearsal: Study) -> None:
        """Print where to go. It stays in sight: no line of a request follows it."""
        lines = [
            f"Rate images      {url}/s/{demo.SLUG}/",
            f"Run studies      {url}/admin/",
            "         user    researcher",
            f"     password    {password}  (another at each start)",
            f"Read a report    {url}/admin/survey/study/{rehearsal.pk}/reports/",
            "",
            "Next: vote on a few pairs, then log in and follow them on the study's page.",
            "Own images: New study in the admin, or docs/researcher.md.",
            "Ctrl-C stops the server; make demo starts it again in seconds.",
        ]
        console = console_of(self.stdout)
        if console.is_terminal:
            box = Panel("\n".join(lines), title="Blindpair is ready", border_style="green", expand=False)
            # In a narrow window lines are folded, not cut.
            console.print(box, soft_wrap=False, overflow="fold")
        else:
            self.stdout.write("\n".join(["", *lines]))
            self.stdout.flush()


def _researcher() -> tuple[Any, str]:
    """Return the demo's researcher with a new password: the one printed at the last start is void."""
    user, _ = get_user_model().objects.get_or_create(
        username="researcher", defaults={"is_staff": True, "is_superuser": True}
    )
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save()
    return user, password
