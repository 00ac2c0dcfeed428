"""The job behind ``manage.py evaluate_images``: plain parameters in, stored metrics out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.conf import settings

from analysis.images import EvaluationRules
from diffusion.device import chosen_device
from generation.worker.image_metrics import evaluation_as_json, study_evaluate
from generation.worker.measuring import StudyEvaluation
from jobs.lease import Lease
from jobs.registry import handles
from survey.models import Study
from survey.selectors.jobs import study_of_job

__all__ = ["evaluate_with"]


def evaluate_with(
    study: Study,
    parameters: Mapping[str, Any],
    *,
    progress: Callable[[str, int, int], None] | None = None,
    actor: Any = None,
    fence: Callable[[], AbstractContextManager] = nullcontext,
) -> StudyEvaluation:
    """Run :func:`generation.worker.image_metrics.study_evaluate` with the command's parameters."""
    minimum = parameters.get("minimum")
    chosen = {name: parameters[name] for name in ("kid_subsets", "kid_subset_size") if parameters.get(name) is not None}
    if minimum is not None:
        chosen |= {"minimum_frechet": minimum, "minimum_per_feature": minimum}
    rules = EvaluationRules(**chosen)
    return study_evaluate(
        study,
        reference=parameters["reference"],
        features=parameters.get("features", "inception"),
        weights=parameters.get("weights"),
        config=parameters.get("config"),
        samples=parameters.get("samples"),
        class_map=parameters.get("class_map", ""),
        batch_size=parameters.get("batch_size", 32),
        rules=rules,
        device=str(chosen_device(settings.TORCH_DEVICE)),
        progress=progress,
        actor=actor,
        fence=fence,
    )


@handles("generation.evaluate_images")
def evaluate_images_job(lease: Lease, *, study: str, **parameters: Any) -> dict[str, Any]:
    """Evaluate a study's images; the metrics are stored when all arms are done, and returned as the job's result."""

    def progress(what: str, done: int, total: int) -> None:
        lease.progress(done, total, what)

    actor = f"job {lease.job.pk}"
    row = study_of_job(lease.job)
    found = evaluate_with(row, parameters, progress=progress, actor=actor, fence=lease.fenced)
    return evaluation_as_json(found)
