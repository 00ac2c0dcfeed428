"""A study's images as sources to measure, and their metrics into the study: the worker's path, torch included."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage
from scipy.stats import binomtest

from analysis.images import EvaluationRules, MetricResult, metrics_over_seeds
from analysis.pictures.colour import PIXEL_RULES
from generation.features.evaluation import ImageEvaluation, Reference, evaluate_images, open_reference
from generation.features.image_sets import (
    ArraySource,
    ImageSet,
    LabelledImages,
    NpzSource,
    folder_source,
    in_batches,
    read_image,
)
from generation.features.networks import ClassifierFeatureNetwork, load_feature_network
from generation.recipes.class_labels import class_number, class_text
from survey.models import ImagePair, PairImage, Study
from survey.services.results.image_metrics import image_metrics_store

__all__ = ["StudyArmSource", "arm_sources", "class_accuracy", "evaluation_as_json", "named_reference", "study_evaluate"]


@dataclass(frozen=True)
class StudyArmSource:
    """One arm's images in the storage, in the order of the pairs' keys. ``rows``: (storage name, sha256, class)."""

    name: str
    rows: tuple[tuple[str, str, int], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def digest(self) -> str:
        listed = "".join(f"{sha256} {label}\n" for _, sha256, label in self.rows)
        return hashlib.sha256(f"pixels {PIXEL_RULES}\n{listed}".encode()).hexdigest()

    def batches(self, size: int) -> Iterator[LabelledImages]:
        return in_batches(((self._pixels(name, sha256), label) for name, sha256, label in self.rows), size)

    @staticmethod
    def _pixels(name: str, sha256: str) -> np.ndarray:
        with default_storage.open(name) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ValueError(f"{name} in the storage has changed since it was registered; restore it from a backup")
            # Digest and pixels from one opening: between two the file could be replaced.
            file.seek(0)
            return read_image(file, name=name)


def arm_sources(study: Study) -> dict[str, StudyArmSource]:
    """Return every arm's images of the main pairs, selected for raters or not: a selection would bias the metrics."""
    rows = (
        PairImage.objects.filter(pair__study=study, pair__kind=ImagePair.Kind.MAIN)
        .order_by("arm__name", "pair__key")
        .values_list("arm__name", "file", "sha256", "pair__class_label")
    )
    gathered: dict[str, list[tuple[str, str, int]]] = {}
    for arm, file, sha256, label in rows.iterator(chunk_size=2000):
        gathered.setdefault(arm, []).append((file, sha256, class_number(label)))
    return {arm: StudyArmSource(f"{study.slug}/{arm}", tuple(images)) for arm, images in gathered.items()}


def named_reference(reference: str) -> Reference:
    """Return the reference of that name (``digits``) or at that path.

    A path is a folder of images, an `.npz`, or the folder of CIFAR-10's own files (its training images).

    Raises
    ------
    ValueError
        If it is none of them.
    """
    from training.data.image_sets import cifar10_images, digits_images

    if reference == "digits":
        found = digits_images()
    elif any(Path(reference).glob("data_batch_1*")):
        found = cifar10_images(reference, split="train")
    else:
        return open_reference(Path(reference))
    pixels = found.pixels if found.pixels.ndim == 4 else found.pixels[..., None]
    return Reference(name=found.name, source=ArraySource(found.name, pixels, found.labels))


def _sample_source(path: str) -> ImageSet:
    return NpzSource(Path(path)) if path.endswith(".npz") else folder_source(Path(path))


def study_evaluate(
    study: Study,
    *,
    reference: str,
    features: str = "inception",
    weights: str | None = None,
    config: str | None = None,
    samples: Mapping[str, Sequence[str]] | None = None,
    rules: EvaluationRules | None = None,
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
        If an arm is unknown or has no images, or an image or the reference cannot be used.
    """
    arms: dict[str, list[ImageSet]] = {arm: [source] for arm, source in arm_sources(study).items()}
    known = set(study.arms.values_list("name", flat=True))
    if unknown := sorted(set(samples or {}) - known):
        raise ValueError(f"{study.slug} has no arm {', '.join(unknown)}; its arms are {', '.join(sorted(known))}")
    arms |= {arm: [_sample_source(path) for path in paths] for arm, paths in (samples or {}).items()}
    if not arms:
        raise ValueError(f"{study.slug} has no images yet: generate or import pairs first, or give --samples ARM=PATH")
    if weights is None and features == "inception":
        weights = settings.INCEPTION_WEIGHTS or None
    path = None if weights is None else Path(weights)
    network = load_feature_network(features, path, config=config, device=device)
    truth = named_reference(reference)
    cache = settings.DATA_DIR / "features"
    sets = {_set_name(arm, seed): source for arm, sources in arms.items() for seed, source in enumerate(sources)}
    found = evaluate_images(sets, truth, network, cache, rules=rules, batch_size=batch_size, progress=progress)
    found = _over_seeds(found, {arm: len(sources) for arm, sources in arms.items()})
    if isinstance(network, ClassifierFeatureNetwork):
        seen = {arm: class_accuracy(network, sources, batch_size=batch_size) for arm, sources in arms.items()}
        found = replace(found, arms={arm: {**found.arms[arm], "class_accuracy": seen[arm]} for arm in arms})
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
    network: ClassifierFeatureNetwork, sources: Sequence[ImageSet], *, batch_size: int = 32
) -> MetricResult:
    """Return the share of images in which an independent classifier sees the class they were made for.

    Images without a class number are left out; the interval is Wilson's, images being the units.
    """
    right = total = 0
    for batch in (batch for source in sources for batch in source.batches(batch_size)):
        is_labelled = batch.labels >= 0
        right += int((network.predict(batch.images)[is_labelled] == batch.labels[is_labelled]).sum())
        total += int(is_labelled.sum())
    if not total:
        return MetricResult(remarks=("no image has a class number",), features=network.identity)
    # Wilson: near 0 and 1, where such shares lie, the normal interval leaves [0, 1].
    low, high = binomtest(right, total).proportion_ci(method="wilson")
    return MetricResult(value=right / total, ci95=(low, high), n=total, features=network.identity)


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
