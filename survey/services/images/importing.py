"""Import finished images: check everything, then register everything, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction

from analysis.pictures.formats import ending_for
from analysis.pictures.listing import class_of
from survey.exceptions import ImportRefused, PairConflict
from survey.models import Study
from survey.services.images.checking import ImageFacts, ImportReport, Progress, images_check, inspect
from survey.services.images.import_sources import ImportSource, Limits
from survey.services.images.pairs import (
    NewImage,
    NewPair,
    image_name,
    image_store,
    pairs_conflicts,
    pairs_register,
)
from survey.services.records.audit import audit_record
from survey.services.study.arm_names import arm_names
from survey.services.study.study import arm_add, study_locked_draft

__all__ = ["ImportReport", "images_check", "images_import", "import_check", "inspect"]

# What the column of the pair holds.
LONGEST_CLASS_NAME = 200
# The first few tell the kind of mistake.
NAMED = 5


def import_check(
    *,
    study: Study,
    sources: Mapping[str, ImportSource],
    class_names: Mapping[str, str] | None = None,
    leave_out_unmatched: bool = False,
    limits: Limits | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Check all that an import into this study would check; what passes here, the import takes.

    Raises
    ------
    ImportRefused
        With every problem found.
    StudyNotEditable
        If the study is frozen.
    """
    return _checked(study, sources, class_names or {}, leave_out_unmatched, limits, on_progress)[0]


def _checked(
    study: Study,
    sources: Mapping[str, ImportSource],
    class_names: Mapping[str, str],
    leave_out_unmatched: bool,
    limits: Limits | None,
    on_progress: Progress,
) -> tuple[ImportReport, dict[str, dict[str, ImageFacts]]]:
    with transaction.atomic():
        study_locked_draft(study)
    report, pairs = images_check(
        sources, leave_out_unmatched=leave_out_unmatched, limits=limits, on_progress=on_progress
    )
    report.problems += [
        f"the name of class {label} has more than {LONGEST_CLASS_NAME} characters; shorten it"
        for label, name in class_names.items()
        if len(name) > LONGEST_CLASS_NAME
    ]
    classes = {class_of(key) for key in pairs}
    if unknown := sorted(set(class_names) - classes):
        report.notes.append(f"class names: no image is of class {', '.join(unknown[:NAMED])}")
    names = arm_names(study, sources)
    digests = {key: {names[arm]: one.sha256 for arm, one in row.items()} for key, row in pairs.items()}
    report.problems += pairs_conflicts(study, digests)
    report.notes += [f"arm {title} is called {name} in files" for title, name in names.items() if title != name]
    if report.problems:
        raise ImportRefused(report.problems)
    return report, pairs


def images_import(
    *,
    study: Study,
    sources: Mapping[str, ImportSource],
    actor: Any = None,
    class_names: Mapping[str, str] | None = None,
    leave_out_unmatched: bool = False,
    limits: Limits | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Import the pairs that all arms have into a draft; the first folder of a path is the class.

    Everything is checked before the first row is written, and all rows come in one transaction: a killed or refused
    import leaves the study as it was.

    Raises
    ------
    ImportRefused
        With every problem found.
    StudyNotEditable
        If the study is frozen.
    """
    class_names = class_names or {}
    report, pairs = _checked(
        study,
        sources,
        class_names,
        leave_out_unmatched,
        limits,
        lambda done, total: on_progress(done, 2 * total),
    )
    names = arm_names(study, sources)
    new: list[NewPair] = []
    total, done = len(pairs) * len(sources), 0
    reused: list[tuple[ImportSource, ImageFacts, str]] = []
    for key, row in pairs.items():
        images = {}
        for arm, one in row.items():
            images[names[arm]], is_new = _stored(sources[arm], one)
            if not is_new:
                reused.append((sources[arm], one, images[names[arm]].file))
            done += 1
            on_progress(total + done, 2 * total)
        folder = class_of(key)
        new.append(NewPair(key=key, images=images, class_label=folder, class_name=class_names.get(folder, folder)))
    with transaction.atomic():
        locked = study_locked_draft(study)
        have = set(locked.arms.values_list("name", flat=True))
        for title, name in names.items():
            if name not in have:
                arm_add(study=locked, name=name, title=title if title != name else "", actor=actor)
        try:
            report.new_pairs = pairs_register(study=locked, pairs=new)
        except PairConflict as error:
            raise ImportRefused([str(error)]) from None
        detail = {"arms": report.arms, "pairs": report.pairs, "new": report.new_pairs, "sha256": report.sha256}
        audit_record(study=locked, actor=actor, action="import images", detail=detail)
    for source, one, name in reused:
        # The study that it came from may have been deleted meanwhile. From now on rows point at it.
        if not default_storage.exists(name):
            image_store(_content(source, one), suffix=_suffix(one))
    return report


def _content(source: ImportSource, picture: ImageFacts) -> bytes:
    content = source.read(picture.path)
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise ImportRefused([f"{picture.path} changed while it was imported; import again"])
    return content


def _suffix(picture: ImageFacts) -> str:
    return ending_for(picture.path, picture.format)


def _stored(source: ImportSource, picture: ImageFacts) -> tuple[NewImage, bool]:
    """Return the stored image, and whether its file is new."""
    name, is_new = image_name(picture.sha256, _suffix(picture)), False
    if not default_storage.exists(name):
        is_new = True
        image_store(_content(source, picture), suffix=_suffix(picture))
    recipe = {
        "source": "import",
        "from": source.label,
        "path": picture.path,
        "format": picture.format,
        "mode": picture.mode,
        "colour_profile": picture.profile,
        "notes": list(picture.notes),
    }
    image = NewImage(file=name, sha256=picture.sha256, width=picture.width, height=picture.height, recipe=recipe)
    return image, is_new
