from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from jobs.console import shown
from survey.exceptions import SurveyError
from survey.services.study.study import study_get


class Command(BaseCommand):
    help = "Record how good each arm's images are over its classifier scale, on pairs that no study uses."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument(
            "--scales", default="0,0.25,0.5,1,2,4,8", help="classifier scales to try (default: %(default)s)"
        )
        parser.add_argument(
            "--per-class", type=int, default=20, help="images of each class, arm and scale (default: %(default)s)"
        )
        parser.add_argument("--reference", required=True, metavar="REF", help="as in evaluate_images")
        parser.add_argument("--features", default="classifier", help="as in evaluate_images (default: classifier)")
        parser.add_argument("--weights", metavar="FILE", help="weights of the feature network")
        parser.add_argument("--batch", type=int, default=16, help="pairs sampled at once (default: %(default)s)")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="curve.csv, .json, .svg and samples")

    def handle(self, *, study: str, scales: str, out: Path, **options) -> None:
        from diffusion.checkpoints import CheckpointError
        from generation.reproduction.sweep import best_in_words
        from generation.worker.sweep import study_sweep

        try:
            tried = _scales(scales)
            with shown(f"sweeping the scales of {study}", self.stderr, options.get("report")) as told:
                best = study_sweep(
                    study_get(study),
                    scales=tried,
                    reference=options["reference"],
                    features=options["features"],
                    weights=options["weights"],
                    per_class=options["per_class"],
                    micro_batch=options["batch"],
                    out=out,
                    progress=lambda what, done, total: told(done, total, what),
                )
        except (SurveyError, CheckpointError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        for arm, words in best_in_words(best, tried).items():
            self.stdout.write(f"{arm}: lowest KID at scale {words}")
        self.stdout.write(f"curve: {out / 'curve.csv'}")


def _scales(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--scales {text!r}: expected numbers with commas between them") from None
