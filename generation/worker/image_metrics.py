"""The metrics of a study's images, measured and put into the study: the worker's path, torch included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from scipy.stats import binomtest

from analysis.images import EvaluationRules, MetricResult, metrics_over_seeds
from analysis.pictures.class_names import ClassMismatch, are_numbers, match_classes
from generation.features.evaluation import ImageEvaluation, evaluate_images
from generation.features.image_sets import ImageSet
from generation.features.networks import ClassifierFeatureNetwork, load_feature_network
from generation.recipes.class_labels import UNKNOWN_CLASS, StudyClasses, class_text
from generation.worker.sources import arm_sources, named_reference, sample_source, study_classes, under_labels_of
from survey.models import Study
from survey.services.results.image_metrics import image_metrics_store

__all__ = ["class_accuracy", "evaluation_as_json", "study_evaluate"]


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
) -> ImageEvaluation:
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
    arms: dict[str, list[ImageSet]] = {arm: [source] for arm, source in arm_sources(study, classes).items()}
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
    cache = settings.DATA_DIR / "features"
    sets = {_set_name(arm, seed): source for arm, sources in arms.items() for seed, source in enumerate(sources)}
    found = evaluate_images(sets, truth, network, cache, rules=rules, batch_size=batch_size, progress=progress)
    found = _over_seeds(found, {arm: len(sources) for arm, sources in arms.items()})
    if isinstance(network, ClassifierFeatureNetwork):
        seen = {arm: class_accuracy(network, sources, classes, batch_size=batch_size) for arm, sources in arms.items()}
        found = replace(found, arms={arm: {**found.arms[arm], "class_accuracy": seen[arm]} for arm in arms})
    texts = {arm: {classes.text(label): row for label, row in rows.items()} for arm, rows in found.per_class.items()}
    found = replace(found, per_class=texts)
    results = evaluation_as_json(found)
    name = f"{truth.name} (sha256 {found.reference_digest[:12]})"
    # Only the storing: a transaction over hours of measuring would hold its rows all that time.
    with fence():
        image_metrics_store(
            study=study, results=results["arms"], by_class=results["per_class"], reference=name, actor=actor
        )
    return found


def _set_name(arm: str, seed: int) -> str:
    return arm if seed == 0 else f"{arm}, set {seed + 1}"


def _over_seeds(found: ImageEvaluation, sets: Mapping[str, int]) -> ImageEvaluation:
    """Return one entry per arm: metrics over its sets, classes of its first set."""
    metrics = {
        arm: metrics_over_seeds([found.arms[_set_name(arm, seed)] for seed in range(count)])
        for arm, count in sets.items()
    }
    return replace(found, arms=metrics, per_class={arm: found.per_class[arm] for arm in sets})


def class_accuracy(
    network: ClassifierFeatureNetwork,
    sources: Sequence[ImageSet],
    classes: StudyClasses,
    *,
    batch_size: int = 32,
) -> MetricResult:
    """Return the share of images in which an independent classifier sees the class they were made for.

    Its classes are found among the study's by name. Images without a class are left out; the interval is Wilson's,
    images being the units.
    """
    try:
        labels = _labels_of_judge(network, classes)
    except ClassMismatch as error:
        return MetricResult(remarks=(str(error),), features=network.identity)
    right = total = 0
    for batch in (batch for source in sources for batch in source.batches(batch_size)):
        is_labelled = batch.labels >= 0
        seen = labels[network.predict(batch.images)]
        right += int((seen[is_labelled] == batch.labels[is_labelled]).sum())
        total += int(is_labelled.sum())
    if not total:
        return MetricResult(remarks=("no image has a class",), features=network.identity)
    # Wilson: near 0 and 1, where such shares lie, the normal interval leaves [0, 1].
    low, high = binomtest(right, total).proportion_ci(method="wilson")
    return MetricResult(value=right / total, ci95=(low, high), n=total, features=network.identity)


def _labels_of_judge(network: ClassifierFeatureNetwork, classes: StudyClasses) -> np.ndarray:
    """Return the study's label of every class of a judge, an unknown one where the study has no such class."""
    names = network.class_names or tuple(str(number) for number in range(network.network.config.num_classes))
    # A judge without names knows the networks' numbers, which a study's tables hold.
    wanted = classes.texts if are_numbers(names) and are_numbers(classes.texts) else classes.names
    match = match_classes(names, wanted, images=network.identity.name, reader="the study", may_have_more=True)
    return np.array([UNKNOWN_CLASS if label < 0 else classes.labels[label] for label in match.labels])


def evaluation_as_json(found: ImageEvaluation) -> dict[str, Any]:
    """Return ``{"arms": {arm: {metric: M}}, "per_class": {arm: {class: {metric: M}}}, "reference_sha256"}``."""
    return {
        "arms": {arm: _metrics_as_json(metrics) for arm, metrics in found.arms.items()},
        "per_class": {
            arm: {class_text(label): _metrics_as_json(metrics) for label, metrics in classes.items()}
            for arm, classes in found.per_class.items()
        },
        "reference_sha256": found.reference_digest,
    }


def _metrics_as_json(metrics: Mapping[str, MetricResult]) -> dict[str, Any]:
    return {name: metric.as_json() for name, metric in metrics.items()}
