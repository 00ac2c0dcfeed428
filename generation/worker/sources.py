"""A study's images and what they are measured against, as sets under the study's own class labels."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.core.files.storage import default_storage

from analysis.pictures.class_names import RANKS, ClassMismatch, are_numbers
from analysis.pictures.colour import PIXEL_RULES
from generation.features.classes import WithoutClasses, class_names_of, labelled_as
from generation.features.evaluation import Reference, open_reference
from generation.features.image_sets import (
    ArraySource,
    ImageSet,
    LabelledImages,
    NpzSource,
    folder_source,
    in_batches,
    read_image,
)
from generation.recipes.class_labels import UNKNOWN_CLASS, StudyClasses
from survey.models import ImagePair, PairImage, Study
from survey.selectors.vote import current_votes
from training.data.image_sets import ArrayImages, ImageSource
from training.data.sources import open_source, recognised_kind

__all__ = [
    "StudyArmSource",
    "TrainingSource",
    "arm_sources",
    "named_reference",
    "pair_keys_of",
    "pairs_seen",
    "sample_source",
    "study_classes",
    "under_labels_of",
]

log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class TrainingSource:
    """A source of training's own kinds that is no array in memory: Hugging Face sets, and what is plugged in."""

    images: ImageSource
    name: str

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.images.class_names)

    def __len__(self) -> int:
        return len(self.images)

    def digest(self) -> str:
        labels = np.ascontiguousarray(self.images.labels, dtype="<i8")
        facts = json.dumps(self.images.describe(), sort_keys=True)
        return hashlib.sha256(f"pixels {PIXEL_RULES}\n{facts}".encode() + labels.tobytes()).hexdigest()

    def batches(self, size: int) -> Iterator[LabelledImages]:
        rows = ((self.images.image(i, mode="RGB"), label) for i, label in enumerate(self.images.labels.tolist()))
        return in_batches(((np.asarray(picture), label) for picture, label in rows), size)


def study_classes(study: Study) -> StudyClasses:
    """Return the classes of the study's main pairs, with their names.

    Raises
    ------
    ValueError
        If a class has two names.
    """
    rows = study.pairs.filter(kind=ImagePair.Kind.MAIN).order_by().values_list("class_label", "class_name").distinct()
    return StudyClasses.of(list(rows))


def arm_sources(study: Study, classes: StudyClasses | None = None) -> dict[str, StudyArmSource]:
    """Return every arm's images of the main pairs, selected for raters or not: a selection would bias the metrics."""
    classes = classes or study_classes(study)
    numbers = dict(zip(classes.texts, classes.labels, strict=True))
    rows = (
        PairImage.objects.filter(pair__study=study, pair__kind=ImagePair.Kind.MAIN)
        .order_by("arm__name", "pair__key")
        .values_list("arm__name", "file", "sha256", "pair__class_label")
    )
    gathered: dict[str, list[tuple[str, str, int]]] = {}
    for arm, file, sha256, label in rows.iterator(chunk_size=2000):
        gathered.setdefault(arm, []).append((file, sha256, numbers.get(label, UNKNOWN_CLASS)))
    return {arm: StudyArmSource(f"{study.slug}/{arm}", tuple(images)) for arm, images in gathered.items()}


def pair_keys_of(study: Study) -> dict[str, list[str]]:
    """Return the keys of the pairs behind each arm's images, in the order of :func:`arm_sources`."""
    rows = PairImage.objects.filter(pair__study=study, pair__kind=ImagePair.Kind.MAIN).order_by(
        "arm__name", "pair__key"
    )
    found: dict[str, list[str]] = {}
    for arm, key in rows.values_list("arm__name", "pair__key").iterator(chunk_size=2000):
        found.setdefault(arm, []).append(key)
    return found


def pairs_seen(study: Study) -> set[str]:
    """Return the keys of the main pairs with a vote that counts; before the first vote, of those chosen for raters."""
    pairs = study.pairs.filter(kind=ImagePair.Kind.MAIN)
    voted = pairs.filter(pk__in=current_votes(study).values("trial__pair")).order_by()
    seen = set(voted.values_list("key", flat=True))
    return seen or set(pairs.filter(is_selected=True).order_by().values_list("key", flat=True))


def named_reference(reference: str) -> Reference:
    """Return the reference of that name (``digits``) or at that path.

    A path is a folder of images, an `.npz`, or the folder of CIFAR-10's files, of idx files or of a Hugging Face set
    (of these the training images).

    Raises
    ------
    ValueError
        If it is none of them.
    """
    kind = recognised_kind(reference)
    if kind is None:
        return open_reference(Path(reference))
    found = open_source(kind, reference, split="train")
    if not isinstance(found, ArrayImages):
        return Reference(name=Path(reference).name, source=TrainingSource(found, Path(reference).name))
    pixels = found.pixels if found.pixels.ndim == 4 else found.pixels[..., None]
    return Reference(name=found.name, source=ArraySource(found.name, pixels, found.labels, found.class_names))


def sample_source(path: str) -> ImageSet:
    """Return images of an arm at a path: a folder, or an `.npz`."""
    return NpzSource(Path(path)) if path.endswith(".npz") else folder_source(Path(path))


def under_labels_of(
    study: Study,
    classes: StudyClasses,
    source: ImageSet,
    class_map: Mapping[str, str] | str,
    *,
    may_have_more: bool = False,
) -> ImageSet:
    """Return a set under the study's labels.

    Raises
    ------
    ClassMismatch
        Naming the classes that the study does not have, or how the names differ.
    """
    found, names = class_names_of(source), classes.names
    if not names or not found:
        return WithoutClasses(source) if found else source
    # What has no names has the networks' numbers, which the study's tables hold; imported classes have names alone.
    if not class_map and are_numbers(found) and not are_numbers(names):
        if not are_numbers(classes.texts):
            raise ClassMismatch(
                f"{source.name} has no class names, and the classes of {study.slug} no numbers; give --classes FILE, "
                "or --classes none to measure all classes together"
            )
        log.warning("%s has no class names: its numbers are taken as the labels of %s", source.name, study.slug)
        names = classes.texts
    if class_map == RANKS:
        # Of all classes that the networks know, of which a study may show some.
        class_map, names = {name: str(rank) for rank, name in enumerate(found)}, classes.texts
    try:
        return labelled_as(
            source,
            names,
            labels=classes.labels,
            reader=study.slug,
            class_map=class_map,
            may_have_more=may_have_more,
            numbers=classes.texts,
        )
    except ClassMismatch as error:
        raise ClassMismatch(
            f"{error} with --classes FILE, or say --classes none to measure all classes together"
        ) from error
