"""The metrics of a study's images, measured and put into the study: the worker's path, torch included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings

from analysis.images import EvaluationRules, MetricResult
from generation.features.image_sets import ImageSet
from generation.features.networks import load_feature_network
from generation.worker.measuring import Measuring, PairsSeen, StudyEvaluation
from generation.worker.sources import (
    arm_sources,
    named_reference,
    pair_keys_of,
    pairs_seen,
    sample_source,
    study_classes,
    under_labels_of,
)
from survey.models import Study
from survey.services.results.image_metrics import image_metrics_store

__all__ = ["evaluation_as_json", "study_evaluate"]


def study_evaluate(
    study: Study,
    *,
    reference: str,
    features: str = "inception",
    weights: str | None = None,
    config: str | None = None,
    samples: Mapping[str, Sequence[str]] | None = None,
    rules: EvaluationRules | None = None,
    class_map: Mapping[str, str] | str = "",
    batch_size: int = 32,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
    actor: Any = None,
    fence: Callable[[], AbstractContextManager] = nullcontext,
) -> StudyEvaluation:
    """Measure the arms of a study and store the metrics where its report finds them.

    Parameters
    ----------
    study : Study
    reference : str
        ``digits``, a folder, or an `.npz`.
    features, weights, config : str
        Feature network, its local weights, and the network of a classifier's file without a card; the Inception
        weights default to BLINDPAIR_INCEPTION_WEIGHTS.
    samples : mapping of str to sequence of str, optional
        Arm name to folders or `.npz` files with larger sets of images of that arm, one set a generation seed: several
        give the mean over seeds and its interval. Arms not named are measured on the study's own images, which are
        mostly too few for a Frechet distance.
    class_map : mapping of str to str, "ranks" or "none"
        From classes of the reference and of ``samples`` to the study's, where their names differ.
    rules, batch_size, device, progress
        As in :func:`generation.features.evaluation.evaluate_images`.
    actor : user or str, optional
        Who asked, for the audit log.
    fence : callable
        Gives the context in which results are written, so that a job that has lost its lease writes nothing.

    Raises
    ------
    FileNotFoundError
        If weights are missing; the message says which and where they belong.
    ValueError
        If an arm is unknown or has no images, an image or the reference cannot be used, or its classes are others.
    """
    classes = study_classes(study)
    own_sources = arm_sources(study, classes)
    arms: dict[str, list[ImageSet]] = {arm: [source] for arm, source in own_sources.items()}
    known = set(study.arms.values_list("name", flat=True))
    if unknown := sorted(set(samples or {}) - known):
        raise ValueError(f"{study.slug} has no arm {', '.join(unknown)}; its arms are {', '.join(sorted(known))}")
    arms |= {
        arm: [under_labels_of(study, classes, sample_source(path), class_map) for path in paths]
        for arm, paths in (samples or {}).items()
    }
    if not arms:
        raise ValueError(f"{study.slug} has no images yet: generate or import pairs first, or give --samples ARM=PATH")
    if weights is None and features == "inception":
        weights = settings.INCEPTION_WEIGHTS or None
    path = None if weights is None else Path(weights)
    network = load_feature_network(features, path, config=config, device=device)
    truth = named_reference(reference)
    if truth.source is not None:
        under = under_labels_of(study, classes, truth.source, class_map, may_have_more=True)
        truth = replace(truth, source=under)
    measuring = Measuring(network, truth, classes, rules or EvaluationRules(), batch_size, progress)
    keys = pair_keys_of(study)
    own = {arm: (keys[arm], source) for arm, source in own_sources.items()}
    found = measuring.measured(arms, {arm: keys for arm, (keys, _) in own.items() if arm not in (samples or {})})
    seen = pairs_seen(study)
    # The same images twice would say nothing: all of them are seen, and no others were measured.
    if samples or any(set(own_keys) - seen for own_keys, _ in own.values()):
        found = replace(found, seen=measuring.of_pairs_seen(own, seen))
    results = evaluation_as_json(found)
    name = f"{truth.name} (sha256 {found.reference_digest[:12]})"
    # Only the storing: a transaction over hours of measuring would hold its rows all that time.
    with fence():
        image_metrics_store(
            study=study,
            results=results["arms"],
            by_class=results["per_class"],
            seen=results["seen"],
            differences=results["differences"],
            reference=name,
            actor=actor,
        )
    return found


def evaluation_as_json(found: StudyEvaluation) -> dict[str, Any]:
    """Return what ``--out`` writes and the report reads.

    ``arms`` (arm, metric), ``per_class`` (arm, class, metric), ``seen`` (arm, metric), ``differences`` (a list) and
    ``reference_sha256``.
    """
    seen = found.seen or PairsSeen(arms={}, differences=[])
    return {
        "arms": {arm: _metrics_as_json(metrics) for arm, metrics in found.arms.items()},
        "per_class": {
            arm: {text: _metrics_as_json(metrics) for text, metrics in classes.items()}
            for arm, classes in found.per_class.items()
        },
        "seen": {arm: _metrics_as_json(metrics) for arm, metrics in seen.arms.items()},
        "differences": [*found.differences, *seen.differences],
        "reference_sha256": found.reference_digest,
    }


def _metrics_as_json(metrics: Mapping[str, MetricResult]) -> dict[str, Any]:
    return {name: metric.as_json() for name, metric in metrics.items()}
