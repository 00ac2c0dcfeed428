"""What an evaluation is given: rules of refusal and effort, the features of an arm, what is known of the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.images.frechet import GaussianFit, fit_gaussian

__all__ = ["ArmFeatures", "EvaluationRules", "ReferenceFeatures"]


@dataclass(frozen=True, kw_only=True)
class EvaluationRules:
    """What is refused, what is warned about, and how much is spent on intervals.

    Parameters
    ----------
    minimum_frechet : int
        Fewer generated or reference images than this refuse FID and sFID (the kernel distance remains).
    minimum_per_feature : int
        With other networks the floor is this many images per feature, at most ``minimum_frechet``: the bias grows with
        the number of features, and 64 features need fewer images than the 2048 of Inception.
    comparable : int
        Fewer images than this and a value is not comparable with published ones; it carries that remark.
    k, coverage_k : int
        Neighbours for precision and recall, for density and coverage.
    kid_subsets, kid_subset_size : int
        Random subsets of the kernel distance, and the images in each.
    mind_projections : int
        Random directions of the sliced distance.
    split_size : int
        Images per split of the Inception score; images are put in a random order first.
    extrapolation_points : int
        Sizes at which the Frechet distance is computed for its limit at infinitely many images; 0 for none.
    bootstrap_replicates : int
        Resamples for the interval of a Frechet distance; used up to ``bootstrap_features`` features, above which the
        infinitesimal jackknife (the bootstrap's limit) is used.
    bootstrap_features : int
        See above.
    halves : int
        Random halves of the pairs whose spread gives the paired intervals.
    seed : int
        Seed of subsets and resamples.
    memory_bytes : int
        Rough limit for one block of distances.
    """

    minimum_frechet: int = 2048
    minimum_per_feature: int = 10
    comparable: int = 10_000
    k: int = 3
    coverage_k: int = 5
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    mind_projections: int = 1000
    split_size: int = 5000
    extrapolation_points: int = 6
    bootstrap_replicates: int = 100
    bootstrap_features: int = 256
    halves: int = 200
    seed: int = 0
    memory_bytes: int = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class ArmFeatures:
    """Features of the generated images of one arm, row i of every array being the same image.

    ``pool`` (n, d) for distances and manifolds; ``spatial`` (n, 2023) for sFID and ``logits`` (n, classes) for the
    Inception score, both only from the Inception network; ``labels`` (n,) integers for per-class metrics, -1 where the
    class is unknown; ``seen`` (n,) integers: the class that a classifier sees in the image, for the class accuracy.
    """

    pool: np.ndarray
    spatial: np.ndarray | None = None
    logits: np.ndarray | None = None
    labels: np.ndarray | None = None
    seen: np.ndarray | None = None

    def rows(self, index: np.ndarray) -> ArmFeatures:
        """Return the features of some of the images; indices read the chosen rows alone from a memory map."""
        parts = {name: getattr(self, name) for name in ("spatial", "logits", "labels", "seen")}
        chosen = {name: part[index] for name, part in parts.items() if part is not None}
        return ArmFeatures(pool=self.pool[index], **chosen)


@dataclass(frozen=True, kw_only=True)
class ReferenceFeatures:
    """What is known of the reference images: the fitted Gaussians, and the rows where they are at hand.

    The published batches give moments over the whole training set (``pool_fit``, ``spatial_fit``) and 10,000 images
    (``pool``) for precision and recall. A missing part makes the metrics that need it refuse.
    """

    pool_fit: GaussianFit | None = None
    spatial_fit: GaussianFit | None = None
    pool: np.ndarray | None = None
    labels: np.ndarray | None = None
    name: str = ""
    digest: str = ""

    def of_class(self, label: int) -> ReferenceFeatures:
        """Return what is known of one class's images; rows and labels are there.

        A class of fewer than two images has no Gaussian.
        """
        if self.pool is None or self.labels is None:
            raise ValueError(f"{self.name}: single classes need the reference's images and their classes")
        # Indices and not masks: on a memory map they read the chosen rows alone.
        index = np.flatnonzero(self.labels == label)
        rows = self.pool[index]
        fit = fit_gaussian(rows) if rows.shape[0] >= 2 else None
        return ReferenceFeatures(pool_fit=fit, pool=rows, labels=self.labels[index], name=self.name, digest=self.digest)
