from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diffusion.files import write_atomically
from survey.exceptions import SurveyError
from survey.selectors.jobs import study_subject
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = "Measure the images of a study's arms: FID, sFID, Inception score, precision, recall, KID, by arm and class."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument(
            "--reference",
            required=True,
            metavar="REF",
            help="a folder of images, an .npz (images, or mu and sigma), CIFAR-10's own folder, digits",
        )
        parser.add_argument(
            "--features",
            default="inception",
            help="inception (default), dinov2, or classifier (not comparable with FID)",
        )
        parser.add_argument(
            "--weights", metavar="FILE", help="weights of the feature network (default: BLINDPAIR_INCEPTION_WEIGHTS)"
        )
        parser.add_argument(
            "--samples",
            action="append",
            default=[],
            metavar="ARM=PATH",
            help="a folder or .npz with more images of an arm; give one a seed for the spread over seeds",
        )
        parser.add_argument("--batch-size", type=int, default=32)
        parser.add_argument("--minimum", type=int, help="fewest images for a Frechet distance (default 2048)")
        parser.add_argument("--out", type=Path, metavar="FILE", help="also write everything, per class too, as JSON")
        parser.add_argument("--queue", action="store_true", help="leave the work to a GPU worker")

    def handle(self, *, study: str, queue: bool, out: Path | None, **options) -> None:
        try:
            row = study_get(study)
            parameters = _parameters(study, options)
            if queue:
                self._enqueue(row, parameters)
                return
            self._evaluate(row, parameters, out)
        except (SurveyError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error

    def _enqueue(self, study: Any, parameters: dict[str, Any]) -> None:
        from jobs.services import job_enqueue

        subject = study_subject(study)
        job = job_enqueue(kind="generation.evaluate_images", parameters=parameters, subject=subject, queue="gpu")
        self.stdout.write(f"queued as {job.pk}; `manage.py run_jobs` or a GPU worker takes it")

    def _evaluate(self, study: Any, parameters: dict[str, Any], out: Path | None) -> None:
        # Only the work itself loads torch; the queueing web-side path does not.
        from generation.worker.evaluation_job import evaluate_with
        from generation.worker.image_metrics import evaluation_as_json

        found = evaluate_with(study, parameters, progress=_Progress(self.stderr), actor="command line")
        for arm, metrics in found.arms.items():
            self.stdout.write(f"{arm}:")
            for name, metric in metrics.items():
                self.stdout.write(f"  {name:30} {_shown(metric)}")
        if out is not None:
            text = json.dumps(evaluation_as_json(found), indent=2, sort_keys=True) + "\n"
            write_atomically(out, [text.encode()])
            self.stdout.write(f"written to {out}")


def _parameters(study: str, options: dict[str, Any]) -> dict[str, Any]:
    samples: dict[str, list[str]] = {}
    for item in options["samples"]:
        arm, equals, path = item.partition("=")
        if not (arm and equals and path):
            raise ValueError(f"--samples {item!r}: expected ARM=PATH")
        samples.setdefault(arm, []).append(path)
    if options["batch_size"] < 1:
        raise ValueError(f"--batch-size {options['batch_size']}: expected at least 1")
    if options["minimum"] is not None and options["minimum"] < 2:
        raise ValueError(f"--minimum {options['minimum']}: expected at least 2, one image has no covariance")
    names = ("reference", "features", "weights", "batch_size", "minimum")
    return {"study": study, "samples": samples} | {name: options[name] for name in names}


def _shown(metric: Any) -> str:
    if metric.value is None:
        return f"null - {metric.reason}"
    interval = "" if metric.ci95 is None else f" [{metric.ci95[0]:.4g}, {metric.ci95[1]:.4g}]"
    remark = f" - {metric.reason}" if metric.reason else ""
    return f"{metric.value:.5g}{interval} (n = {metric.n}){remark}"


class _Progress:
    """One line per change of task, and a count at most twice a second."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.shown_at = stream, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done in (0, total) or now - self.shown_at > 0.5:
            self.shown_at = now
            self.stream.write(f"{what}: {done}/{total}" if total > 1 else what)
