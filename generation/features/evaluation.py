"""Metrics of image sets against a reference: sources through a feature network into the numbers of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from analysis.images import (
    ArmFeatures,
    EvaluationRules,
    GaussianFit,
    MetricResult,
    ReferenceFeatures,
    evaluate_arm,
    evaluate_per_class,
    fit_gaussian,
    gaussian_from_moments,
)
from analysis.metric_names import metric_name
from analysis.pictures.arrays import NPZ_NAMES
from generation.features.image_sets import ImageSet, NpzSource, folder_source, npz_members
from generation.features.inception import file_sha256
from generation.features.networks import FeatureNetwork
from generation.features.store import StoredFeatures, stored_features

__all__ = [
    "ImageEvaluation",
    "JudgedClasses",
    "Reference",
    "evaluate_images",
    "open_reference",
    "reference_features",
]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The images, or published moments, that arms are measured against: at least one of ``source`` and ``moments``."""

    name: str
    source: ImageSet | None = None
    moments: Path | None = None


def open_reference(path: Path) -> Reference:
    """Return the reference at a path: a folder of images, or an `.npz` with images and/or ``mu, sigma``.

    Raises
    ------
    ValueError
        If the path is neither, or the `.npz` is cut short or holds neither images nor moments.
    """
    path = Path(path)
    if path.is_dir():
        return Reference(name=path.name, source=folder_source(path))
    if path.suffix != ".npz" or not path.is_file():
        raise ValueError(f"no reference at {path}: give a folder of images, or an .npz with arr_0 or mu and sigma")
    members = npz_members(path)
    has_moments = {"mu", "sigma"} <= set(members)
    has_images = any(images in members for images, _ in NPZ_NAMES)
    if not has_images and not has_moments:
        raise ValueError(f"{path} holds {', '.join(members)}; expected images (arr_0) or moments (mu, sigma)")
    return Reference(
        name=path.name,
        source=NpzSource(path) if has_images else None,
        moments=path if has_moments else None,
    )


def reference_features(
    reference: Reference,
    network: FeatureNetwork,
    cache: Path,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> ReferenceFeatures:
    """Return what the reference offers under a feature network.

    Published moments are Inception's: they are used with the published Inception weights and left aside with any other
    network, for which the reference's images are fitted instead.

    Raises
    ------
    ValueError
        If another network meets a reference that holds nothing but moments, or the moments have another dimension.
    """
    known = ReferenceFeatures(name=reference.name)
    # Published moments are those of one network: against other features they would mean nothing.
    if reference.moments is not None and network.identity.is_published_inception:
        known = _published_moments(reference.moments)
    if reference.source is not None:
        stored = _stored(reference.source, network, cache, batch_size, progress)
        known = replace(known, pool=stored.pool, labels=stored.labels, digest=known.digest or stored.digest)
        # Published moments win over ones computed here: then the distance is the one that others report.
        if known.pool_fit is None:
            known = replace(known, pool_fit=_fit(stored.pool), spatial_fit=_fit(stored.spatial))
    if known.pool_fit is None and known.pool is None:
        raise ValueError(
            f"{reference.name} holds Inception moments alone; {network.identity.name} needs the reference's images"
        )
    return known


def _fit(rows: np.ndarray | None) -> GaussianFit | None:
    # One row has no covariance.
    return None if rows is None or rows.shape[0] < 2 else fit_gaussian(rows)


def _published_moments(path: Path) -> ReferenceFeatures:
    with np.load(path, allow_pickle=False) as archive:
        names = set(archive.files)
        pool = gaussian_from_moments(archive["mu"], archive["sigma"])
        has_spatial = {"mu_s", "sigma_s"} <= names
        spatial = gaussian_from_moments(archive["mu_s"], archive["sigma_s"]) if has_spatial else None
    # Moments of another layer are a common mix-up; the distance would come out as a number all the same.
    for fit, wanted, key in ((pool, 2048, "mu"), (spatial, 2023, "mu_s")):
        if fit is not None and fit.dimension != wanted:
            raise ValueError(f"{path}: {key} has {fit.dimension} features, Inception's have {wanted}")
    return ReferenceFeatures(pool_fit=pool, spatial_fit=spatial, name=path.name, digest=file_sha256(path))


def _stored(
    source: ImageSet, network: FeatureNetwork, cache: Path, batch_size: int, progress: Progress | None
) -> StoredFeatures:
    report = None if progress is None else (lambda done, total: progress(f"features of {source.name}", done, total))
    return stored_features(source, network, cache, batch_size=batch_size, progress=report)


@dataclass(frozen=True, kw_only=True)
class ImageEvaluation:
    """Metrics per arm, and per class and arm where both sides have class labels (else empty)."""

    arms: dict[str, dict[str, MetricResult]]
    per_class: dict[str, dict[int, dict[str, MetricResult]]]
    reference_digest: str
    #: What was measured, for comparisons: of each arm, and of the reference.
    arm_features: dict[str, ArmFeatures] = field(default_factory=dict, repr=False, compare=False)
    reference: ReferenceFeatures = field(default_factory=ReferenceFeatures, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class JudgedClasses:
    """The class that a classifier sees in each image of a set, and the one that it was made for, -1 unknown."""

    seen: np.ndarray
    labels: np.ndarray


def evaluate_images(
    arms: Mapping[str, ImageSet],
    reference: Reference,
    network: FeatureNetwork,
    cache: Path,
    *,
    rules: EvaluationRules | None = None,
    judged: Mapping[str, JudgedClasses] | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> ImageEvaluation:
    """Measure every arm against one reference with one network.

    Parameters
    ----------
    arms : mapping of str to ImageSet
        Generated images by arm.
    reference : Reference
    network : FeatureNetwork
    cache : Path
        Folder for features; grows with the images, memory does not.
    rules : EvaluationRules, optional
    judged : mapping of str to JudgedClasses, optional
        What a classifier saw in the images of each arm, for the class accuracy.
    batch_size : int
        Images per call of the network.
    progress : callable, optional
        Called with what is being done, images done and images in all.

    Raises
    ------
    ValueError
        If there is no arm, an image cannot be read, or the reference does not fit the network.
    """
    if not arms:
        raise ValueError("no arm to evaluate")
    known = reference_features(reference, network, cache, batch_size=batch_size, progress=progress)
    results, per_class, features = {}, {}, {}
    for name, source in arms.items():
        stored = _stored(source, network, cache, batch_size, progress)
        arm = _with_classes(stored, (judged or {}).get(name))
        told = None if progress is None else _metric_progress(progress, name)
        results[name] = evaluate_arm(arm, known, network.identity, rules, progress=told)
        has_classes = stored.labels is not None and known.labels is not None
        per_class[name] = evaluate_per_class(arm, known, network.identity, rules) if has_classes else {}
        features[name] = arm
    return ImageEvaluation(
        arms=results, per_class=per_class, reference_digest=known.digest, arm_features=features, reference=known
    )


def _with_classes(stored: StoredFeatures, judged: JudgedClasses | None) -> ArmFeatures:
    labels = stored.labels if judged is None else judged.labels
    return ArmFeatures(
        pool=stored.pool,
        spatial=stored.spatial,
        logits=stored.logits,
        labels=labels,
        seen=None if judged is None else judged.seen,
    )


def _metric_progress(progress: Progress, arm: str) -> Callable[[str], None]:
    return lambda metric: progress(f"{metric_name(metric)} of {arm}", 0, 1)
