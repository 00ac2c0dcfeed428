from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from analysis.images.results import MetricResult
from analysis.metric_names import metric_name
from analysis.pictures.class_names import CLASS_MAP_HELP, class_map_named
from diffusion.files import write_atomically
from jobs.console import Report, shown
from survey.exceptions import SurveyError
from survey.selectors.jobs import study_subject
from survey.services.study.study import study_get


class Command(BaseCommand):
    # Given by a command that shows several of these on its own board.
    stealth_options = ("report",)
    help = "Measure a study's arms, in total and by class: FID, sFID, Inception score, precision, recall, KID, MIND."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument(
            "--reference",
            required=True,
            metavar="REF",
            help="a folder of images, an .npz (images, or mu and sigma), CIFAR-10's own folder, idx files, digits",
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
            "--config",
            metavar="C",
            help="network of --features classifier if its file has no card: a published name, or a card's .json",
        )
        parser.add_argument(
            "--samples",
            action="append",
            default=[],
            metavar="ARM=PATH",
            help="a folder or .npz with more images of an arm; one per seed gives the spread over seeds",
        )
        parser.add_argument("--classes", metavar="FILE", help=f"{CLASS_MAP_HELP}; or `none`: no class by itself")
        parser.add_argument("--batch-size", type=int, default=32, help="images at once (default: %(default)s)")
        parser.add_argument("--minimum", type=int, help="fewest images for a Frechet distance (default 2048)")
        parser.add_argument("--kid-subsets", type=int, metavar="N", help="random subsets of the KID (default 100)")
        parser.add_argument("--kid-subset-size", type=int, metavar="N", help="images in each subset (default 1000)")
        parser.add_argument("--out", type=Path, metavar="FILE", help="also write all results, by class too, as JSON")
        parser.add_argument("--queue", action="store_true", help="leave the work to a GPU worker")

    def handle(self, *, study: str, queue: bool, out: Path | None, **options) -> None:
        try:
            row = study_get(study)
            parameters = _parameters(study, options)
            if queue:
                self._enqueue(row, parameters)
                return
            self._evaluate(row, parameters, out, options.get("report"))
        except (SurveyError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error

    def _enqueue(self, study: Any, parameters: dict[str, Any]) -> None:
        from jobs.services import job_enqueue

        subject = study_subject(study)
        job = job_enqueue(kind="generation.evaluate_images", parameters=parameters, subject=subject, queue="gpu")
        self.stdout.write(f"queued as {job.pk}; `manage.py run_jobs` or a GPU worker takes it")

    def _evaluate(self, study: Any, parameters: dict[str, Any], out: Path | None, report: Report | None) -> None:
        # Only the work itself loads torch; the queueing web-side path does not.
        from generation.worker.evaluation_job import evaluate_with
        from generation.worker.image_metrics import evaluation_as_json

        with shown(f"measuring images of {study.slug}", self.stderr, report) as told:
            found = evaluate_with(
                study,
                parameters,
                progress=lambda what, done, total: told(done, total, what),
                actor="command line",
            )
        for line in _lines(found):
            self.stdout.write(line)
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
    for name, least in (("kid_subsets", 2), ("kid_subset_size", 2)):
        if options[name] is not None and options[name] < least:
            raise ValueError(f"--{name.replace('_', '-')} {options[name]}: expected at least {least}")
    # Its content, not its path: a worker elsewhere has no such file.
    class_map = options["classes"] if options["classes"] == "none" else class_map_named(options["classes"])
    names = ("reference", "features", "weights", "config", "batch_size", "minimum", "kid_subsets", "kid_subset_size")
    return {"study": study, "samples": samples, "class_map": class_map} | {name: options[name] for name in names}


def _lines(found: Any) -> Iterator[str]:
    """Yield what was measured, an arm a block, then what differs over the same pairs; each remark once."""
    blocks = {arm: metrics.items() for arm, metrics in found.arms.items()}
    seen = found.seen.arms if found.seen is not None else {}
    blocks |= {f"{arm}, pairs that raters saw": metrics.items() for arm, metrics in seen.items()}
    shown = [(metric_name(key), metric) for metrics in blocks.values() for key, metric in metrics]
    width = max(len(name) for name, _ in shown)
    for title, metrics in blocks.items():
        yield f"{title}:"
        yield from (_line(metric_name(name), metric, width) for name, metric in metrics if metric.value is not None)
    yield from _difference_lines(found.differences, width)
    yield from _remarks(shown)
    yield from found.lacks


def _line(name: str, metric: MetricResult, width: int) -> str:
    return f"  {name:{width}}  {metric.value:.5g}{_interval(metric.ci95)}  (n = {metric.n})"


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"  [{bounds[0]:.4g}, {bounds[1]:.4g}]"


def _difference_lines(differences: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    title = ""
    for entry in differences:
        if entry["class_label"] or entry["value"] is None:
            continue
        seeds = f", {entry['n_seeds']} seeds" if entry["n_seeds"] > 1 else ""
        begun, title = title, f"{entry['arm']} less {entry['baseline']} over the same {entry['n']} pairs{seeds}:"
        if title != begun:
            yield title
        yield f"  {metric_name(entry['metric']):{width}}  {entry['value']:.5g}{_interval(entry['ci95'])}"


def _remarks(metrics: Sequence[tuple[str, MetricResult]]) -> Iterator[str]:
    """Yield one line for all that was not computed, then each warning with the metrics that it holds for."""
    lacks: dict[str, dict[str, None]] = {}
    warnings: dict[str, dict[str, None]] = {}
    for name, metric in metrics:
        for remark in metric.remarks:
            plain = remark.removeprefix("not computed: ").removeprefix("refused: ")
            (warnings if metric.value is not None else lacks).setdefault(plain, {})[name] = None
    if lacks:
        listed = (f"{', '.join(names)} ({reason})" for reason, names in lacks.items())
        yield f"not computed: {'; '.join(listed)}"
    yield from (f"{', '.join(names)}: {warning}" for warning, names in warnings.items())
