"""`make demo`: the main job on real images, from training to a study that is open for raters."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from survey.models import ImageMetric, Study
from survey.services.study.study import arm_add, study_create, study_transition
from survey.services.study.version import version_freeze
from training.models import Checkpoint

SLUG = "digits"
NETWORKS = [
    ("train_denoiser", "digits_denoiser", "the denoiser, shared by both arms"),
    ("train_classifier", "digits_vanilla", "the vanilla classifier"),
    ("train_classifier", "digits_robust", "the robust classifier (PGD on diffused images)"),
    ("train_classifier", "digits_judge", "an independent classifier that judges the images"),
]
SAMPLER = {"sampler": "ddim", "spacing": "ddim25"}
# At 16 x 16 pixels the published scales change next to nothing that an eye could see.
SCALES = {"vanilla": 25.0, "robust": 25.0}
# What the simulated raters of a rehearsal are like; the report is to find it again.
REHEARSAL = {"preference": 0.65, "position_bias": 0.03, "lapse": 0.02}
TEXTS = {
    "organisation": "a demonstration on this computer",
    "summary": "You will see pairs of small pictures of handwritten digits and say which one looks more real.",
    "payment": "Nothing is paid: this is a demonstration.",
    "minutes": 5,
    "consent_text": (
        "Your choices and how long they took are stored on this computer under a random number. "
        "You can withdraw at any time; your answers are then not used."
    ),
    "instructions": (
        "Look at both pictures, then choose the one that looks more like a real handwritten digit of the kind named "
        'above them. Choose "no preference" only when you cannot decide.'
    ),
    "question": "Which picture looks more like a real handwritten {class_name}?",
    "debrief": (
        "Both pictures of each pair were made by the same image generator from the same noise. "
        "It was steered by two different helpers; your choices show which one people prefer."
    ),
}


class Command(BaseCommand):
    help = "Train on handwritten digits, make matched-seed pairs, open a study, and serve it (or rehearse it)."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="rehearse with simulated raters, write the report")
        parser.add_argument("--pairs", type=int, default=100, help="matched-seed pairs to make (default 100)")
        parser.add_argument("--raters", type=int, default=24, help="simulated raters of a rehearsal (default 24)")
        parser.add_argument("--address", default="127.0.0.1:8000", help="where to serve (default 127.0.0.1:8000)")
        parser.add_argument("--out", type=Path, help="where a rehearsal writes its report")

    def handle(self, *, no_serve: bool, pairs: int, raters: int, address: str, out: Path | None, **options) -> None:
        self.phases: list[tuple[str, float]] = []
        with self._phase("prepare the database"):
            call_command("migrate", verbosity=0)
        for command, preset, what in NETWORKS:
            with self._phase(f"train {what}"):
                call_command(command, config=preset)
        owner, password = self._researcher()
        with self._phase("describe the study"):
            study = self._study(owner)
        with self._phase(f"make {pairs} matched-seed pairs"):
            call_command("generate_pairs", study=SLUG, pairs=pairs)
        if not ImageMetric.objects.filter(arm__study=study).exists():
            with self._phase("compare both arms with the real digits"):
                judge = Checkpoint.objects.get(run__name="digits_judge", role=Checkpoint.Role.LAST)
                call_command(
                    "evaluate_images",
                    study=SLUG,
                    reference="digits",
                    features="classifier",
                    weights=judge.path,
                    minimum=50,
                )
        with self._phase("freeze and open the study"):
            self._open(study, owner)
        self._print_phases()
        if no_serve:
            self._rehearse(raters, out or settings.DATA_DIR / "demo-report")
        else:
            self._serve(address, password)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.stdout.write(self.style.MIGRATE_HEADING(f"== {name}"))
        start = time.monotonic()
        yield
        self.phases.append((name, time.monotonic() - start))

    def _print_phases(self) -> None:
        for name, seconds in self.phases:
            self.stdout.write(f"  {seconds:7.1f} s  {name}")

    def _researcher(self) -> tuple[Any, str]:
        """Return the demo's researcher with a new password: the one printed at the last start is void."""
        user, _ = get_user_model().objects.get_or_create(
            username="researcher", defaults={"is_staff": True, "is_superuser": True}
        )
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.save()
        return user, password

    def _study(self, owner: Any) -> Study:
        study = Study.objects.filter(slug=SLUG).first()
        if study is None:
            study = study_create(
                owner=owner,
                slug=SLUG,
                title="Handwritten digits",
                seed=20230808,
                pixel_multiple=14,
                narrow_screens=Study.NarrowScreens.STACK,
                trials_per_session=20,
                votes_per_pair=6,
                **TEXTS,
            )
        if study.state == Study.State.DRAFT:
            recipes = demo_recipes()
            for name, recipe in recipes.items():
                arm_add(
                    study=study, name=name, actor=owner, recipe=recipe, description=f"guided by the {name} classifier"
                )
        return study

    def _open(self, study: Study, owner: Any) -> None:
        study.refresh_from_db()
        if study.state == Study.State.DRAFT:
            version = version_freeze(study=study, actor=owner, reason="demo")
            self.stdout.write(f"frozen: version {version.number}, SHA-256 {version.config_sha256}")
        if study.state == Study.State.FROZEN:
            study_transition(study=study, name="open", actor=owner, reason="demo")

    def _rehearse(self, raters: int, out: Path) -> None:
        """Let simulated raters vote through the real pages, then write the report beside what was simulated."""
        with self._phase(f"rehearse with {raters} simulated raters"):
            call_command("simulate_raters", study=SLUG, raters=raters, arm="robust", **REHEARSAL)
        with self._phase("write the report"):
            call_command("export_report", study=SLUG, out=out, arm="robust", baseline="vanilla")
        truth = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in REHEARSAL.items())
        self.stdout.write(f"simulated: {truth}")
        self._print_phases()

    def _serve(self, address: str, password: str) -> None:
        """Serve pages, and work off jobs (reports, imports) beside them, until Ctrl-C."""
        settings.PUBLIC_URL = f"http://{address}"
        self.stdout.write("")
        self.stdout.write(self.style.SUCCESS(f"rater:      http://{address}/s/{SLUG}/"))
        self.stdout.write(self.style.SUCCESS(f"researcher: http://{address}/admin/"))
        self.stdout.write(f"            user researcher, password {password} (valid until the next start)")
        self.stdout.write("            Ctrl-C stops the server; make demo starts it again in seconds")
        # SIGTERM ends the server as Ctrl-C does, so that the worker never outlives it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        worker = subprocess.Popen([sys.executable, "manage.py", "run_jobs"], cwd=settings.BASE_DIR)
        try:
            call_command("runserver", address, use_reloader=False, insecure_serving=True, skip_checks=True)
        finally:
            worker.terminate()
            worker.wait()


def demo_recipes() -> dict[str, dict[str, Any]]:
    """Return the recipes of both arms: the same denoiser and sampler, each guided by its own classifier."""
    files = {
        checkpoint.run.name: {"path": checkpoint.path, "sha256": checkpoint.sha256}
        for checkpoint in Checkpoint.objects.filter(role=Checkpoint.Role.LAST).select_related("run")
    }
    return {
        name: {
            "denoiser": files["digits_denoiser"],
            "classifier": files[f"digits_{name}"],
            "classifier_scale": scale,
            **SAMPLER,
        }
        for name, scale in SCALES.items()
    }
