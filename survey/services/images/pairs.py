"""Bring matched images into a study. Files are stored under their digest; rows come in bulk, once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import QuerySet

from survey.exceptions import PairConflict, PairUnknown
from survey.models import Arm, ImagePair, PairImage, ReferenceImage, Study
from survey.models.pair import LONGEST_CLASS, LONGEST_CLASS_NAME, LONGEST_KEY
from survey.services.images.manifest import LONGEST_PROMPT
from survey.services.records.audit import audit_record
from survey.services.records.stored_files import files_forget_later, pair_files
from survey.services.study.study import study_locked_draft

__all__ = [
    "NewImage",
    "NewPair",
    "image_name",
    "image_store",
    "lengths_check",
    "pairs_conflicts",
    "pairs_register",
    "pairs_remove",
    "pairs_select",
    "references_add",
]

# Rows of one INSERT: fewer round trips than rows, and little memory.
_BATCH = 2000
_REFERENCE_COLUMNS = ("file", "sha256", "width", "height", "recipe")


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """A stored image: its name in the storage, digest of its bytes, size in pixels, and how it was made."""

    file: str
    sha256: str
    width: int
    height: int
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewPair:
    """A pair to register; ``images`` maps arm names to images and names every arm that made one."""

    key: str
    images: Mapping[str, NewImage]
    kind: str = ImagePair.Kind.MAIN
    class_label: str = ""
    class_name: str = ""
    prompt: str = ""
    tags: Sequence[str] = ()
    reference: NewImage | None = None
    seed: int | None = None
    index: int | None = None
    noise_sha256: str = ""
    distance: float | None = None


def image_name(sha256: str, suffix: str = ".png") -> str:
    """Return where an image of this digest is kept: 256 folders hold a few thousand files each at 10^5 pairs."""
    return f"images/{sha256[:2]}/{sha256}{suffix}"


def image_store(content: bytes, *, suffix: str = ".png") -> tuple[str, str]:
    """Store image bytes under their digest, whole or not at all; return (name in the storage, sha256)."""
    sha256 = hashlib.sha256(content).hexdigest()
    name = image_name(sha256, suffix)
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(content))
    return name, sha256


@transaction.atomic
def pairs_register(*, study: Study, pairs: Iterable[NewPair]) -> int:
    """Add pairs to a draft in one transaction; return how many were new.

    A pair that is there already with the same images is left alone, so that a repeated shard changes nothing;
    :func:`pairs_describe` changes what is said of it.

    Raises
    ------
    StudyNotEditable
        If the study is frozen.
    PairConflict
        If a key exists with other images, an arm is unknown or a name is too long. Nothing of the call is kept.
    """
    locked = study_locked_draft(study)
    arms = {arm.name: arm for arm in Arm.objects.filter(study=locked)}
    pairs, new = iter(pairs), 0
    while batch := list(islice(pairs, _BATCH)):
        new += _register(locked, arms, batch)
    return new


def lengths_check(pair: NewPair) -> None:
    """Refuse what a column would cut or a database would refuse without a name."""
    for what, text, most in (
        ("key", pair.key, LONGEST_KEY),
        ("class label", pair.class_label, LONGEST_CLASS),
        ("class name", pair.class_name, LONGEST_CLASS_NAME),
        ("prompt", pair.prompt, LONGEST_PROMPT),
    ):
        if len(text) > most:
            raise PairConflict(f"pair {pair.key[:60]!r}: the {what} has {len(text)} characters; allowed are {most}")


def pairs_conflicts(study: Study, pairs: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return which of {key: {arm: sha256}} the study has with other images."""
    keys, found = iter(pairs), []
    while batch := list(islice(keys, _BATCH)):
        found += _conflicts(_stored_digests(study, batch), pairs)
    return found


def _stored_digests(study: Study, keys: Collection[str]) -> dict[str, dict[str, str]]:
    stored: dict[str, dict[str, str]] = {}
    rows = PairImage.objects.filter(pair__study=study, pair__key__in=keys).values_list(
        "pair__key", "arm__name", "sha256"
    )
    for key, arm, sha256 in rows:
        stored.setdefault(key, {})[arm] = sha256
    return stored


def _conflicts(stored: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> list[str]:
    differing = {
        key: sorted(arm for arm, sha256 in new[key].items() if digests.get(arm, sha256) != sha256)
        for key, digests in stored.items()
    }
    return [
        f"pair {key!r} exists with other images of {', '.join(arms)}; the recipe or the seed has changed"
        for key, arms in differing.items()
        if arms
    ]


def _register(locked: Study, arms: Mapping[str, Arm], pairs: Sequence[NewPair]) -> int:
    """Register so many pairs as a query may name: SQLite allows 32,766 values as a rule."""
    for pair in pairs:
        if unknown := sorted(set(pair.images) - set(arms)):
            raise PairConflict(f"pair {pair.key!r}: the study has no arm {', '.join(unknown)}; add the arm first")
        lengths_check(pair)
    by_key = {pair.key: pair for pair in pairs}
    stored = _stored_digests(locked, by_key)
    new = {key: {arm: image.sha256 for arm, image in pair.images.items()} for key, pair in by_key.items()}
    if problems := _conflicts(stored, new):
        raise PairConflict(problems[0])
    fresh = [pair for key, pair in by_key.items() if key not in stored]
    ImagePair.objects.bulk_create(
        [
            ImagePair(
                study=locked,
                kind=pair.kind,
                key=pair.key,
                class_label=pair.class_label,
                class_name=pair.class_name,
                prompt=pair.prompt,
                tags=list(pair.tags),
                seed=pair.seed,
                index=pair.index,
                noise_sha256=pair.noise_sha256,
                distance=pair.distance,
            )
            for pair in fresh
        ],
        batch_size=500,
    )
    ids = dict(ImagePair.objects.filter(study=locked, key__in=by_key).values_list("key", "id"))
    # An arm that was added later brings its images to pairs that are there already.
    missing = [
        PairImage(
            pair_id=ids[key],
            arm=arms[name],
            file=image.file,
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            recipe=dict(image.recipe),
        )
        for key, pair in by_key.items()
        for name, image in pair.images.items()
        if name not in stored.get(key, {})
    ]
    PairImage.objects.bulk_create(missing, batch_size=500)
    references_add((ids[pair.key], pair.reference) for pair in fresh)
    return len(fresh)


def references_add(references: Iterable[tuple[Any, NewImage | None]]) -> None:
    """Add the rows of references, given with the keys of their pairs."""
    rows = [
        ReferenceImage(pair_id=pair, **{name: getattr(image, name) for name in _REFERENCE_COLUMNS})
        for pair, image in references
        if image is not None
    ]
    ReferenceImage.objects.bulk_create(rows, batch_size=500)


def _named_pairs(study: Study, keys: Collection[str]) -> QuerySet[ImagePair]:
    """Return the pairs of these keys, or raise PairUnknown naming what the study lacks."""
    rows = ImagePair.objects.filter(study=study, key__in=keys)
    if unknown := sorted(set(keys) - set(rows.values_list("key", flat=True))):
        raise PairUnknown(f"{study.slug} has no pair {unknown[0]!r} ({len(unknown)} of the keys are unknown)")
    return rows


@transaction.atomic
def pairs_select(*, study: Study, keys: Collection[str], is_selected: bool, actor: Any) -> int:
    """Let pairs of a draft take part when it is frozen, or leave them out; return how many changed."""
    locked = study_locked_draft(study)
    changed = _named_pairs(locked, keys).exclude(is_selected=is_selected).update(is_selected=is_selected)
    if changed:
        action = "take pairs in" if is_selected else "leave pairs out"
        audit_record(study=locked, actor=actor, action=action, detail={"pairs": changed, "keys": sorted(keys)[:100]})
    return changed


@transaction.atomic
def pairs_remove(*, study: Study, keys: Collection[str], actor: Any) -> int:
    """Remove pairs from a draft with their files; return how many. A pair of a frozen version stays: leave it out."""
    locked = study_locked_draft(study)
    rows = _named_pairs(locked, keys)
    frozen = rows.filter(slots__isnull=False).values_list("key", flat=True).first()
    if frozen is not None:
        raise PairConflict(f"pair {frozen!r} is part of a frozen version and stays with it; leave it out instead")
    count = len(set(keys))
    files_forget_later(pair_files(rows))
    rows.delete()
    audit_record(study=locked, actor=actor, action="remove pairs", detail={"pairs": count, "keys": sorted(keys)[:100]})
    return count
