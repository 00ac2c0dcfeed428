"""From features of two image sets to the metrics of one arm: numbers with intervals, or refusals with reasons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from analysis.images.frechet import GaussianFit, fit_gaussian, frechet_distance
from analysis.images.given import ArmFeatures, EvaluationRules, ReferenceFeatures
from analysis.images.inception_score import inception_score
from analysis.images.kernel import KernelDistance, kernel_distance
from analysis.images.neighbours import ManifoldMetrics, manifold_metrics
from analysis.images.results import FeatureIdentity, MetricResult, refused_metric
from analysis.images.sliced import SlicedDistance, sliced_distance
from analysis.images.uncertainty import bootstrap_frechet, extrapolate_frechet, frechet_standard_error

__all__ = ["METRIC_KEYS", "PER_CLASS", "Evaluation", "class_accuracy", "evaluate_arm", "evaluate_per_class"]

#: Every metric of an arm, in the order of the report.
METRIC_KEYS = (
    "fid",
    "sfid",
    "inception_score",
    "precision",
    "recall",
    "density",
    "coverage",
    "kid",
    "mind",
    "frechet_distance",
    "frechet_distance_extrapolated",
)

#: What is measured of single classes, and compared between arms.
PER_CLASS = ("kid", "mind", "frechet_distance", "precision", "recall", "class_accuracy")

#: The smallest of the sizes is a fifth of the images and needs a covariance.
_FEWEST_TO_EXTRAPOLATE = 10

#: A resample is held in memory; larger sets get the jackknife interval.
_BOOTSTRAP_NUMBERS = 2**25

#: Images a side of published MIND values.
_PUBLISHED_MIND = 5000

_NOT_INCEPTION = (
    "not computed: needs the published Inception weights (weights-inception-2015-12-05-6726825d.pth, SHA-256 beginning "
    "6726825d, by --weights or BLINDPAIR_INCEPTION_WEIGHTS); these features are {name!r}"
)
_NO_PAIR = "not computed: {what}"


def evaluate_arm(
    arm: ArmFeatures,
    reference: ReferenceFeatures,
    features: FeatureIdentity,
    rules: EvaluationRules | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> dict[str, MetricResult]:
    """Return every metric of one arm, keys as in :data:`METRIC_KEYS`, and ``class_accuracy`` where classes were seen.

    ``fid``, ``sfid`` and ``inception_score`` exist only with the published Inception weights. With any other network
    the distance stands under ``frechet_distance``, with that network's name.

    Parameters
    ----------
    arm : ArmFeatures
    reference : ReferenceFeatures
    features : FeatureIdentity
        The network both sides went through.
    rules : EvaluationRules, optional
    progress : callable, optional
        Called with the name of each metric before it is computed.

    Raises
    ------
    ValueError
        If a feature is NaN or infinite, or the dimensions of arm and reference differ.
    """
    run = Evaluation(arm, reference, features, rules or EvaluationRules(), progress or (lambda name: None))
    results = run.frechet_results() | run.inception_results() | run.manifold_results()
    results |= {"kid": run.kid(), "mind": run.mind()}
    results["frechet_distance_extrapolated"] = run.extrapolated(
        results["fid" if features.is_published_inception else "frechet_distance"]
    )
    accuracy = {} if arm.seen is None else {"class_accuracy": run.class_accuracy()}
    return {name: results[name] for name in METRIC_KEYS} | accuracy


def class_accuracy(seen: np.ndarray, labels: np.ndarray, features: FeatureIdentity) -> MetricResult:
    """Return the share of images in which a classifier sees the class they were made for, with its Wilson interval.

    Parameters
    ----------
    seen, labels : array (n,), integer
        Class seen and class meant; images with a negative label are left out.
    features : FeatureIdentity
        The classifier.
    """
    is_labelled = labels >= 0
    total = int(is_labelled.sum())
    if not total:
        return refused_metric("not computed: no image has a class that the classifier knows", n=0, features=features)
    share = float((seen[is_labelled] == labels[is_labelled]).mean())
    return MetricResult(value=share, ci95=_wilson(share, total), n=total, features=features)


def evaluate_per_class(
    arm: ArmFeatures, reference: ReferenceFeatures, features: FeatureIdentity, rules: EvaluationRules | None = None
) -> dict[int, dict[str, MetricResult]]:
    """Return the distances of every class that the arm holds, against the reference images of the same class.

    Parameters
    ----------
    arm, reference
        Both with ``labels`` and pool rows.
    features : FeatureIdentity
    rules : EvaluationRules, optional
        Classes are small: lower ``minimum_frechet`` knowingly, or read the kernel distance, which has no bias.

    Returns
    -------
    dict
        ``{class: {metric: M}}`` with the metrics of :data:`PER_CLASS` (``class_accuracy`` where classes were seen).

    Raises
    ------
    ValueError
        If labels or reference rows are missing.
    """
    if arm.labels is None or reference.labels is None or reference.pool is None:
        raise ValueError("per-class metrics need labels on both sides and the reference's images, not only its moments")
    results = {}
    for label in np.unique(arm.labels):
        run = Evaluation(
            arm.rows(np.flatnonzero(arm.labels == label)),
            reference.of_class(int(label)),
            features,
            rules or EvaluationRules(),
            lambda name: None,
        )
        found = {"frechet_distance": run.frechet(run.arm.pool, run.reference.pool_fit)}
        found |= run.manifold_results() | {"kid": run.kid(), "mind": run.mind()}
        found |= {} if arm.seen is None else {"class_accuracy": run.class_accuracy()}
        results[int(label)] = {name: found[name] for name in PER_CLASS if name in found}
    return results


@dataclass(frozen=True)
class Evaluation:
    """One arm's images before one reference: its metrics, and how they vary over halves of the images."""

    arm: ArmFeatures
    reference: ReferenceFeatures
    features: FeatureIdentity
    rules: EvaluationRules
    progress: Callable[[str], None]

    @property
    def n(self) -> int:
        return int(self.arm.pool.shape[0])

    def refused(self, reason: str, n_reference: int | None = None) -> MetricResult:
        return refused_metric(reason, n=self.n, n_reference=n_reference, features=self.features)

    def frechet_results(self) -> dict[str, MetricResult]:
        self.progress("frechet_distance")
        distance = self.frechet(self.arm.pool, self.reference.pool_fit)
        if not self.features.is_published_inception:
            reason = _NOT_INCEPTION.format(name=self.features.name)
            marked = distance if distance.value is None else distance.with_reason("not comparable with published FID")
            return {"fid": self.refused(reason), "sfid": self.refused(reason), "frechet_distance": marked}
        if self.arm.spatial is None:
            spatial = self.refused(_NO_PAIR.format(what="no spatial features of the generated images"))
        else:
            self.progress("sfid")
            spatial = self.frechet(self.arm.spatial, self.reference.spatial_fit)
        other = self.refused("these are the published Inception features: their distance is given as fid")
        return {"fid": distance, "sfid": spatial, "frechet_distance": other}

    def extrapolated(self, distance: MetricResult) -> MetricResult:
        """Return the limit of the distance at infinitely many images; its remark lists the sizes it was drawn from."""
        fit = self.reference.pool_fit
        if fit is None or distance.value is None or not self.rules.extrapolation_points:
            reason = "; ".join(distance.remarks) if distance.value is None else "not asked for"
            return self.refused(reason, distance.n_reference)
        if self.n < _FEWEST_TO_EXTRAPOLATE:
            return self.refused(f"refused: {self.n} images, too few sizes to draw a line", distance.n_reference)
        self.progress("frechet_distance_extrapolated")
        found = extrapolate_frechet(self.arm.pool, fit, points=self.rules.extrapolation_points, seed=self.rules.seed)
        sizes = ", ".join(f"{d:.4g} at {n}" for n, d in zip(found.sizes, found.distances, strict=True))
        if found.value < 0:
            reason = (
                f"refused: the line through {sizes} ends below zero, so these are too few images to extrapolate from"
            )
            return self.refused(reason, distance.n_reference)
        remarks = [f"extrapolated to infinitely many generated images from {sizes}"]
        features = self.arm.pool.shape[1]
        if min(found.sizes) <= features:
            remarks.append(
                f"no more images than the {features} features in some: not yet on a line, the limit is a guess"
            )
        return self.result(found.value, None, remarks, distance.n_reference)

    def frechet(self, rows: np.ndarray, fit: GaussianFit | None) -> MetricResult:
        if fit is None and self.reference.pool is not None:
            return self.refused("refused: at least 2 reference images are needed", self.reference.pool.shape[0])
        if fit is None:
            return self.refused(_NO_PAIR.format(what="the reference has no statistics of these features"))
        fewest = self.n if fit.n is None else min(self.n, fit.n)
        floor = self._frechet_floor(rows.shape[1])
        if fewest < floor:
            reason = f"refused: {fewest} images, below {floor} the small-sample bias rules the distance; use KID"
            return self.refused(reason, fit.n)
        value = frechet_distance(fit_gaussian(rows), fit)
        error, remark = self._frechet_error(rows, fit)
        biased = f"biased at {fewest} images, not comparable across sample sizes"
        remarks = [biased] if fewest < self.rules.comparable else []
        remarks += [remark] if remark else []
        # The distance of two distributions has no negative values for an interval to hold.
        return self.result(value, error, remarks, fit.n, lowest=0.0, no_interval=remark)

    def _frechet_floor(self, dimension: int) -> int:
        # 2048 by default, Inception's own number of features: with fewer images the covariance is singular.
        if self.features.is_published_inception:
            return max(self.rules.minimum_frechet, 2)
        # The bias goes with features per image: networks of fewer features need fewer images.
        return max(min(self.rules.minimum_frechet, self.rules.minimum_per_feature * dimension), 2)

    def is_resampled(self, rows: np.ndarray) -> bool:
        """Whether distances of resamples are affordable; if not, the influence of each image takes their place."""
        return rows.shape[1] <= self.rules.bootstrap_features and rows.size <= _BOOTSTRAP_NUMBERS

    def _frechet_error(self, rows: np.ndarray, fit: GaussianFit) -> tuple[float | None, str | None]:
        # A replicate costs a decomposition, cubic in the features: with many of them the jackknife does it in one.
        if self.is_resampled(rows):
            replicates = bootstrap_frechet(rows, fit, replicates=self.rules.bootstrap_replicates, seed=self.rules.seed)
            return float(replicates.std(ddof=1)), None
        error = frechet_standard_error(rows, fit)
        return error, None if error is not None else "no interval: fewer images than features, or singular covariance"

    def result(
        self,
        value: float,
        error: float | None,
        remarks: list[str],
        n_reference: int | None,
        *,
        lowest: float = -math.inf,
        no_interval: str | None = None,
    ) -> MetricResult:
        half = None if error is None else float(stats.norm.ppf(0.975)) * error
        return MetricResult(
            value=value,
            ci95=None if half is None else (max(value - half, lowest), value + half),
            n=self.n,
            n_reference=n_reference,
            features=self.features,
            remarks=tuple(remarks),
            no_interval=no_interval,
        )

    def inception_results(self) -> dict[str, MetricResult]:
        if not self.features.is_published_inception:
            return {"inception_score": self.refused(_NOT_INCEPTION.format(name=self.features.name))}
        if self.arm.logits is None:
            return {"inception_score": self.refused(_NO_PAIR.format(what="no class logits of the generated images"))}
        self.progress("inception_score")
        # Images may come class by class: splits of consecutive ones would each hold few classes.
        order = np.random.default_rng(self.rules.seed).permutation(self.n)
        value, interval = inception_score(self.arm.logits, split_size=self.rules.split_size, order=order)
        no_interval = None if interval else "no interval: fewer than two splits"
        remarks = [no_interval] if no_interval else []
        if self.n < self.rules.comparable:
            remarks.append(f"biased at {self.n} images")
        score = MetricResult(
            value=value,
            ci95=interval,
            n=self.n,
            features=self.features,
            remarks=tuple(remarks),
            no_interval=no_interval,
        )
        return {"inception_score": score}

    def class_accuracy(self) -> MetricResult:
        if self.arm.seen is None or self.arm.labels is None:
            return self.refused(_NO_PAIR.format(what="no classifier has seen the images, or they have no classes"))
        return class_accuracy(self.arm.seen, self.arm.labels, self.features)

    def manifold_results(self) -> dict[str, MetricResult]:
        names = ("precision", "recall", "density", "coverage")
        found = self.manifold
        if isinstance(found, MetricResult):
            return dict.fromkeys(names, found)
        return {name: self._share(found, name) for name in names}

    @cached_property
    def manifold(self) -> ManifoldMetrics | MetricResult:
        """The neighbours of both sides, or why there are none to be found."""
        rows = self.reference.pool
        # A k-th neighbour takes k other images.
        needed = max(self.rules.k, self.rules.coverage_k) + 1
        if rows is None:
            return self.refused(_NO_PAIR.format(what="the reference holds no images, only their moments"))
        if min(self.n, rows.shape[0]) < needed:
            return self.refused(f"refused: at least {needed} images are needed on both sides", rows.shape[0])
        self.progress("precision, recall, density, coverage")
        return manifold_metrics(
            self.arm.pool, rows, k=self.rules.k, coverage_k=self.rules.coverage_k, memory_bytes=self.rules.memory_bytes
        )

    def _share(self, found: ManifoldMetrics, name: str) -> MetricResult:
        """Wrap one share; its Wilson interval takes the balls as fixed and the images in them as drawn."""
        value = getattr(found, name)
        # Precision is a share of the generated images, recall and coverage of the real ones.
        drawn = found.n if name == "precision" else found.n_reference
        # Density counts one image in several balls: it is no share, and may exceed 1.
        interval = None if name == "density" else _wilson(value, drawn)
        few = min(found.n, found.n_reference) < self.rules.comparable
        remark = f"fewer than {self.rules.comparable} images on a side, not comparable with published values"
        return MetricResult(
            value=value,
            ci95=interval,
            n=found.n,
            n_reference=found.n_reference,
            features=self.features,
            remarks=(remark,) if few else (),
        )

    @cached_property
    def kernel(self) -> KernelDistance:
        """The kernel distance; there are at least four images on both sides."""
        if self.reference.pool is None:
            raise ValueError("the reference holds no images, only their moments")
        return kernel_distance(
            self.arm.pool,
            self.reference.pool,
            subsets=self.rules.kid_subsets,
            subset_size=self.rules.kid_subset_size,
            seed=self.rules.seed,
        )

    def kid(self) -> MetricResult:
        rows = self.reference.pool
        if rows is None:
            return self.refused(_NO_PAIR.format(what="the reference holds no images, only their moments"))
        # Two subsets of two, the least that has an off-diagonal mean and a spread.
        if min(self.n, rows.shape[0]) < 4:
            return self.refused("refused: at least 4 images are needed on both sides", rows.shape[0])
        self.progress("kid")
        found = self.kernel
        remarks = []
        if not self.features.is_published_inception:
            remarks.append(f"kernel distance in {self.features.name!r} features, not comparable with published KID")
        if found.value < 0:
            remarks.append("below zero, as an unbiased estimate may be: no difference was found")
        return self.result(found.value, found.standard_error, remarks, rows.shape[0])

    @cached_property
    def sliced(self) -> SlicedDistance:
        """The sliced distance; there are at least four images on both sides."""
        if self.reference.pool is None:
            raise ValueError("the reference holds no images, only their moments")
        return sliced_distance(
            self.arm.pool, self.reference.pool, projections=self.rules.mind_projections, seed=self.rules.seed
        )

    def mind(self) -> MetricResult:
        rows = self.reference.pool
        if rows is None:
            return self.refused(_NO_PAIR.format(what="the reference holds no images, only their moments"))
        if min(self.n, rows.shape[0]) < 4:
            return self.refused("refused: at least 4 images are needed on both sides", rows.shape[0])
        self.progress("mind")
        found = self.sliced
        remarks = []
        if not self.features.is_published_inception:
            remarks.append(f"sliced distance in {self.features.name!r} features, not comparable with published MIND")
        if found.n < _PUBLISHED_MIND:
            remarks.append(f"biased upward at {found.n} images a side, not comparable across sample sizes")
        return self.result(found.value, found.standard_error, remarks, rows.shape[0], lowest=0.0)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the Wilson score interval of a share of n images."""
    z2 = float(stats.norm.ppf(0.975)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = (z2 * (share * (1 - share) / n + z2 / (4 * n * n))) ** 0.5 / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)
