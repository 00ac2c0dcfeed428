"""The sets of a study's arms measured by one network against one reference: arms, classes, pairs, pairs seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings

from analysis.images import EvaluationRules, MetricResult, evaluate_arm, metrics_over_seeds, refused_metric
from analysis.pictures.class_names import ClassMismatch, are_numbers, match_classes
from generation.features.differences import KeyedFeatures, PairedArms, chosen, differences_as_json, pair_keys
from generation.features.evaluation import ImageEvaluation, JudgedClasses, Reference, evaluate_images
from generation.features.image_sets import ImageSet
from generation.features.networks import ClassifierFeatureNetwork, FeatureNetwork
from generation.recipes.class_labels import UNKNOWN_CLASS, StudyClasses

__all__ = ["Measuring", "PairsSeen", "StudyEvaluation"]


@dataclass(frozen=True, kw_only=True)
class PairsSeen:
    """Metrics of the pairs that raters saw, and differences between the arms over these pairs."""

    arms: Mapping[str, Mapping[str, MetricResult]]
    differences: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class StudyEvaluation:
    """What was measured of a study's arms: in total, by class, between arms over the same pairs, of the pairs seen."""

    arms: Mapping[str, Mapping[str, MetricResult]]
    per_class: Mapping[str, Mapping[str, Mapping[str, MetricResult]]]
    differences: Sequence[Mapping[str, Any]]
    reference_digest: str
    lacks: Sequence[str] = ()
    seen: PairsSeen | None = None


@dataclass(frozen=True)
class Measuring:
    """One network, one reference and the rules that all sets are measured by."""

    network: FeatureNetwork
    truth: Reference
    classes: StudyClasses
    rules: EvaluationRules
    batch_size: int
    progress: Callable[[str, int, int], None] | None

    def measured(self, arms: Mapping[str, Sequence[ImageSet]], keys: Mapping[str, Sequence[str]]) -> StudyEvaluation:
        """Return the metrics of all sets; ``keys`` name the pairs of the sets that do not name them themselves."""
        named = {arm: [_set_name(arm, seed) for seed in range(len(sources))] for arm, sources in arms.items()}
        sets = {name: source for arm, names in named.items() for name, source in zip(names, arms[arm], strict=True)}
        found = self.evaluated(sets)
        paired = PairedArms(
            {
                arm: [
                    KeyedFeatures(keys=keys.get(arm) or pair_keys(sets[name]), features=found.arm_features[name])
                    for name in names
                ]
                for arm, names in named.items()
            },
            found.reference,
            self.network.identity,
            self.rules,
        )
        differences = paired.differences(by_class=True)
        texts = dict(zip(self.classes.labels, self.classes.texts, strict=True))
        return StudyEvaluation(
            arms={arm: metrics_over_seeds([found.arms[name] for name in names]) for arm, names in named.items()},
            per_class={
                arm: {self.classes.text(label): row for label, row in found.per_class[names[0]].items()}
                for arm, names in named.items()
            },
            differences=differences_as_json(differences, texts=texts),
            reference_digest=found.reference_digest,
            lacks=paired.lacks,
        )

    def of_pairs_seen(
        self, own: Mapping[str, tuple[Sequence[str], ImageSet]], seen: Collection[str]
    ) -> PairsSeen | None:
        """Return what is known of the pairs that raters saw; None for no image."""
        if not own:
            return None
        found = self.evaluated({arm: source for arm, (_, source) in own.items()})
        parts = {
            arm: chosen(KeyedFeatures(keys=keys, features=found.arm_features[arm]), seen)
            for arm, (keys, _) in own.items()
        }
        parts = {arm: part for arm, part in parts.items() if len(part.keys)}
        identity = self.network.identity
        paired = PairedArms({arm: [part] for arm, part in parts.items()}, found.reference, identity, self.rules)
        return PairsSeen(
            arms={
                arm: evaluate_arm(part.features, found.reference, identity, self.rules) for arm, part in parts.items()
            },
            differences=differences_as_json(paired.differences(by_class=False), pairs="seen"),
        )

    def evaluated(self, sets: Mapping[str, ImageSet]) -> ImageEvaluation:
        """Return the metrics of every set, and what they were computed from."""
        judged, lack = self._judged(sets)
        cache = settings.DATA_DIR / "features"
        found = evaluate_images(
            sets,
            self.truth,
            self.network,
            cache,
            rules=self.rules,
            judged=judged,
            batch_size=self.batch_size,
            progress=self.progress,
        )
        if lack is None:
            return found
        refused = {"class_accuracy": refused_metric(lack, features=self.network.identity)}
        return replace(found, arms={name: metrics | refused for name, metrics in found.arms.items()})

    def _judged(self, sets: Mapping[str, ImageSet]) -> tuple[dict[str, JudgedClasses], str | None]:
        """Return what the judge sees in every set, or why its classes are not the study's."""
        if not isinstance(self.network, ClassifierFeatureNetwork):
            return {}, None
        try:
            labels = _labels_of_judge(self.network, self.classes)
        except ClassMismatch as error:
            return {}, str(error)
        return {name: self._classes_seen(source, labels) for name, source in sets.items()}, None

    def _classes_seen(self, source: ImageSet, labels: np.ndarray) -> JudgedClasses:
        seen, meant = [], []
        for batch in source.batches(self.batch_size):
            seen.append(labels[self.network.predict(batch.images)])
            meant.append(batch.labels)
        return JudgedClasses(seen=np.concatenate(seen), labels=np.concatenate(meant))


def _set_name(arm: str, seed: int) -> str:
    return arm if seed == 0 else f"{arm}, set {seed + 1}"


def _labels_of_judge(network: ClassifierFeatureNetwork, classes: StudyClasses) -> np.ndarray:
    """Return the study's label of every class of a judge, an unknown one where the study has no such class."""
    names = network.class_names or tuple(str(number) for number in range(network.network.config.num_classes))
    # A judge without names knows the networks' numbers, which a study's tables hold.
    wanted = classes.texts if are_numbers(names) and are_numbers(classes.texts) else classes.names
    match = match_classes(names, wanted, images=network.identity.name, reader="the study", may_have_more=True)
    return np.array([UNKNOWN_CLASS if label < 0 else classes.labels[label] for label in match.labels])
