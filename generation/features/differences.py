"""Arms compared over the same pairs: images are matched by what names their pair, then measured with common halves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from analysis.images import ArmFeatures, EvaluationRules, FeatureIdentity, MetricResult, ReferenceFeatures
from analysis.images.paired import ArmVariation, arm_variation, metric_differences
from generation.features.image_sets import ImageSet
from generation.recipes.class_labels import class_text

__all__ = ["ArmDifference", "KeyedFeatures", "PairedArms", "chosen", "differences_as_json", "pair_keys"]


@dataclass(frozen=True, kw_only=True)
class KeyedFeatures:
    """Features of one set of images, row i being the image of the pair ``keys[i]``."""

    keys: Sequence[str]
    features: ArmFeatures


@dataclass(frozen=True, kw_only=True)
class ArmDifference:
    """An arm less a baseline over the same pairs; ``label`` None stands for all classes together."""

    arm: str
    baseline: str
    label: int | None
    n_seeds: int
    metrics: Mapping[str, MetricResult]


def pair_keys(source: ImageSet) -> Sequence[str]:
    """Return what names the pair of each image: its path in the folder, or its number in a batch."""
    names = getattr(source, "names", ())
    return list(names) if len(names) == len(source) else [str(row) for row in range(len(source))]


@dataclass
class PairedArms:
    """The arms of one study before one reference.

    Parameters
    ----------
    arms : mapping of str to sequence of KeyedFeatures
        One entry a seed; seed s of one arm is compared with seed s of the other.
    reference : ReferenceFeatures
    features : FeatureIdentity
    rules : EvaluationRules
    lacks : list of str
        Gets why two arms could not be compared.
    """

    arms: Mapping[str, Sequence[KeyedFeatures]]
    reference: ReferenceFeatures
    features: FeatureIdentity
    rules: EvaluationRules
    lacks: list[str] = field(default_factory=list)
    _known: dict[tuple[Any, ...], ArmVariation] = field(default_factory=dict)

    def differences(self, *, by_class: bool) -> list[ArmDifference]:
        """Return the differences of every two arms, of all classes and then of single ones."""
        found: list[ArmDifference] = []
        for arm, baseline in combinations(sorted(self.arms), 2):
            keys = self._shared(arm, baseline)
            if keys:
                labels = self._labels(arm, keys) if by_class else []
                found += [self._difference(arm, baseline, keys, label) for label in (None, *labels)]
        return found

    def _shared(self, arm: str, baseline: str) -> tuple[str, ...]:
        """Return the keys that all sets of both arms hold, in a fixed order; none where the arms do not match."""
        ours, theirs = self.arms[arm], self.arms[baseline]
        told = f"{arm} and {baseline} have no paired difference"
        if len(ours) != len(theirs):
            self.lacks.append(f"{told}: {len(ours)} and {len(theirs)} sets of images; give as many of both")
            return ()
        shared = set.intersection(*(set(one.keys) for one in (*ours, *theirs)))
        keys = tuple(sorted(shared))
        if not keys:
            self.lacks.append(f"{told}: no image has the same name in both; pairs are matched by file name or row")
            return ()
        classes = {self._labels_of(one, keys) for one in (*ours, *theirs)} - {None}
        if len(classes) > 1:
            self.lacks.append(f"{told}: images of one name were made for different classes, so they are no pairs")
            return ()
        return keys

    def _labels_of(self, one: KeyedFeatures, keys: Sequence[str]) -> tuple[int, ...] | None:
        labels = one.features.labels
        return None if labels is None else tuple(np.asarray(labels)[_rows(one, keys)].tolist())

    def _labels(self, arm: str, keys: Sequence[str]) -> list[int]:
        labels = self._labels_of(self.arms[arm][0], keys)
        if labels is None or self.reference.labels is None or self.reference.pool is None:
            return []
        return sorted({label for label in labels if label >= 0})

    def _difference(self, arm: str, baseline: str, keys: tuple[str, ...], label: int | None) -> ArmDifference:
        ours, theirs = (
            [self._variation(name, seed, keys, label) for seed in range(len(self.arms[name]))]
            for name in (arm, baseline)
        )
        metrics = metric_differences(ours, theirs)
        return ArmDifference(arm=arm, baseline=baseline, label=label, n_seeds=len(ours), metrics=metrics)

    def _variation(self, arm: str, seed: int, keys: tuple[str, ...], label: int | None) -> ArmVariation:
        """Measure one set once, however many arms it is compared with."""
        place = (arm, seed, label, hash(keys))
        if place not in self._known:
            one = self.arms[arm][seed]
            rows = _rows(one, keys)
            reference = self.reference
            if label is not None:
                rows = rows[np.asarray(one.features.labels)[rows] == label]
                reference = self.reference.of_class(label)
            self._known[place] = arm_variation(one.features.rows(rows), reference, self.features, self.rules)
        return self._known[place]


def _rows(one: KeyedFeatures, keys: Sequence[str]) -> np.ndarray:
    place = {key: row for row, key in enumerate(one.keys)}
    return np.array([place[key] for key in keys], dtype=np.int64)


def chosen(one: KeyedFeatures, keys: Collection[str]) -> KeyedFeatures:
    """Return the images of some pairs, in their order."""
    rows = np.array([row for row, key in enumerate(one.keys) if key in keys], dtype=np.int64)
    return KeyedFeatures(keys=[one.keys[row] for row in rows], features=one.features.rows(rows))


def differences_as_json(
    found: Sequence[ArmDifference], *, pairs: str = "all", texts: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """Return differences as the report takes them, an entry a metric; ``texts`` are the study's class labels."""
    return [
        {
            "arm": one.arm,
            "baseline": one.baseline,
            "metric": name,
            "class_label": "" if one.label is None else (texts or {}).get(one.label, class_text(one.label)),
            "pairs": pairs,
            "n_seeds": one.n_seeds,
            **metric.as_json(),
        }
        for one in found
        for name, metric in one.metrics.items()
    ]
