"""Import finished images: check everything, then register everything, or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.core.files.storage import default_storage
from django.db import transaction

from analysis.pictures.class_names import two_spellings
from analysis.pictures.formats import ending_for
from analysis.pictures.listing import class_of
from survey.exceptions import ImportRefused, PairConflict
from survey.models import Study
from survey.models.pair import LONGEST_CLASS_NAME
from survey.services.images.checking import ImageFacts, ImportReport, Progress, images_check, inspect
from survey.services.images.described import PairDescription, pairs_described
from survey.services.images.describing import descriptions_conflicts, pairs_describe
from survey.services.images.import_sources import ArmFolders, ImportSource, Limits
from survey.services.images.pairs import (
    NewImage,
    NewPair,
    image_name,
    image_store,
    pairs_conflicts,
    pairs_register,
)
from survey.services.records.audit import audit_record
from survey.services.study.arm_names import arm_names, spelled_alike
from survey.services.study.study import arm_add, study_locked_draft

__all__ = ["ImportReport", "images_check", "images_import", "import_check", "inspect"]

# The first few tell the kind of mistake.
NAMED = 5


@dataclass(frozen=True)
class _Checked:
    """What an import would bring."""

    report: ImportReport
    sources: ArmFolders
    pairs: dict[str, dict[str, ImageFacts]]
    described: dict[str, PairDescription]
    class_names: Mapping[str, str]

    def label(self, key: str) -> str:
        """Return the class of a pair: what its row says, or else its folder."""
        return self.described[key].class_label or class_of(key)

    def said(self, key: str, reference: NewImage | None = None) -> NewPair:
        """Return what the import says of a pair that is there already: nothing that only its path says."""
        said, label = self.described[key], self.label(key)
        if reference is None and said.reference:
            reference = _row(said.reference, file="", label="references")
        return NewPair(
            key=key,
            images={},
            class_label=said.class_label,
            class_name=self.class_names.get(label, said.class_label),
            prompt=said.prompt,
            tags=said.tags,
            seed=said.seed,
            reference=reference,
        )


def import_check(
    *,
    study: Study,
    sources: Mapping[str, ImportSource],
    class_names: Mapping[str, str] | None = None,
    leave_out_unmatched: bool = False,
    are_texts_read: bool = False,
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
    rules = {"leave_out_unmatched": leave_out_unmatched, "are_texts_read": are_texts_read, "limits": limits}
    checked = _checked(study, sources, class_names=class_names or {}, on_progress=on_progress, **rules)
    return checked.report


def _checked(
    study: Study,
    sources: Mapping[str, ImportSource],
    *,
    class_names: Mapping[str, str],
    on_progress: Progress,
    **rules: Any,
) -> _Checked:
    with transaction.atomic():
        study_locked_draft(study)
    report, pairs = images_check(sources, on_progress=on_progress, **rules)
    folders = ArmFolders.of(sources)
    checked = _Checked(report, folders, pairs, pairs_described(folders, pairs, report, **rules), class_names)
    for label, name in class_names.items():
        if len(name) > LONGEST_CLASS_NAME:
            said = f"has more than {LONGEST_CLASS_NAME} characters; shorten it"
            report.refuse(f"the name of class {label} {said}", kind=f"the name of a class {said}")
    if unknown := sorted(set(class_names) - {checked.label(key) for key in pairs}):
        report.notes.append(f"class names: no image is of class {', '.join(unknown[:NAMED])}")
    for problem in _two_spellings(study, checked):
        report.refuse(problem, kind="names in two spellings")
    names = arm_names(study, sources)
    digests = {key: {names[arm]: one.sha256 for arm, one in row.items()} for key, row in pairs.items()}
    for problem in pairs_conflicts(study, digests):
        report.refuse(problem, kind="pairs that exist with other images")
    for problem in descriptions_conflicts(study, map(checked.said, pairs)):
        report.refuse(problem, kind="pairs of a frozen version of which something else is said")
    report.notes += [f"arm {title} is called {name} in files" for title, name in names.items() if title != name]
    if report.problems:
        raise ImportRefused(report.problems)
    return checked


def _two_spellings(study: Study, checked: _Checked) -> Iterator[str]:
    """Yield the classes and arms that differ in spelling alone, among themselves or from those that the study has."""
    brought = {checked.label(key) for key in checked.pairs} - {""}
    have = set(study.pairs.exclude(class_label="").values_list("class_label", flat=True).distinct())
    # Two that the study has were told apart when they came.
    if found := two_spellings([*sorted(have), *sorted(brought - have)], known=have | set(checked.class_names)):
        yield (
            f"the classes {found[0]!r} and {found[1]!r} are two spellings of one; rename one, or name both in the "
            "class names (class_label,class_name)"
        )
    if arms := spelled_alike(study, checked.sources):
        yield f"the arms {arms[0]!r} and {arms[1]!r} are two spellings of one; rename one"


def images_import(
    *,
    study: Study,
    sources: Mapping[str, ImportSource],
    actor: Any = None,
    class_names: Mapping[str, str] | None = None,
    leave_out_unmatched: bool = False,
    are_texts_read: bool = False,
    limits: Limits | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Import the pairs that all arms have into a draft; the first folder of a path is the class.

    What a table beside the folders says of a pair goes with it, and with ``are_texts_read`` the prompt in the ``.txt``
    beside an image. Everything is checked before the first row is written, and all rows come in one transaction: a
    killed or refused import leaves the study as it was.

    Raises
    ------
    ImportRefused
        With every problem found.
    StudyNotEditable
        If the study is frozen.
    """
    checked = _checked(
        study,
        sources,
        class_names=class_names or {},
        leave_out_unmatched=leave_out_unmatched,
        are_texts_read=are_texts_read,
        limits=limits,
        on_progress=lambda done, total: on_progress(done, 2 * total),
    )
    report, names = checked.report, arm_names(study, sources)
    new, stored = _new_pairs(checked, names, on_progress)
    with transaction.atomic():
        locked = study_locked_draft(study)
        have = set(locked.arms.values_list("name", flat=True))
        for title, name in names.items():
            if name not in have:
                arm_add(study=locked, name=name, title=title if title != name else "", actor=actor)
        try:
            report.new_pairs = pairs_register(study=locked, pairs=new)
            said = (checked.said(pair.key, pair.reference) for pair in new)
            report.changed_pairs = pairs_describe(study=locked, pairs=said)
        except PairConflict as error:
            raise ImportRefused([str(error)]) from None
        audit_record(study=locked, actor=actor, action="import images", detail=_logged(report))
    stored.keep()
    return report


def _logged(report: ImportReport) -> dict[str, Any]:
    detail = {"arms": report.arms, "pairs": report.pairs, "new": report.new_pairs, "sha256": report.sha256}
    more = {"changed": report.changed_pairs, "prompts": report.prompts, "references": report.references}
    return detail | {name: count for name, count in more.items() if count}


def _new_pairs(checked: _Checked, names: Mapping[str, str], on_progress: Progress) -> tuple[list[NewPair], _Stored]:
    """Store the files of all pairs and return their rows to be."""
    new, stored = [], _Stored()
    total, done = len(checked.pairs) * len(checked.sources), 0
    for key, row in checked.pairs.items():
        images = {}
        for arm, one in row.items():
            images[names[arm]] = stored.image(one, checked.sources[arm].read, checked.sources[arm].label)
            done += 1
            on_progress(total + done, 2 * total)
        reference, label = checked.described[key].reference, checked.label(key)
        kept = stored.image(reference, checked.sources.reference, "references") if reference else None
        words = {"class_label": label, "class_name": checked.class_names.get(label, label)}
        new.append(replace(checked.said(key, kept), images=images, **words))
    return new, stored


class _Stored:
    """The files of an import, and those that another study had stored before."""

    def __init__(self) -> None:
        self._reused: list[tuple[str, ImageFacts, Callable[[str], bytes]]] = []

    def image(self, picture: ImageFacts, read: Callable[[str], bytes], label: str) -> NewImage:
        """Store an image unless its file is there, and return its row to be."""
        name = image_name(picture.sha256, _suffix(picture))
        if default_storage.exists(name):
            self._reused.append((name, picture, read))
        else:
            image_store(_content(read, picture), suffix=_suffix(picture))
        return _row(picture, file=name, label=label)

    def keep(self) -> None:
        """Store once more what went meanwhile: the study that a file came from may have been deleted.

        From now on rows point at the files.
        """
        for name, picture, read in self._reused:
            if not default_storage.exists(name):
                image_store(_content(read, picture), suffix=_suffix(picture))


def _row(picture: ImageFacts, *, file: str, label: str) -> NewImage:
    recipe = {
        "source": "import",
        "from": label,
        "path": picture.path,
        "format": picture.format,
        "mode": picture.mode,
        "colour_profile": picture.profile,
        "notes": list(picture.notes),
    }
    return NewImage(file=file, sha256=picture.sha256, width=picture.width, height=picture.height, recipe=recipe)


def _content(read: Callable[[str], bytes], picture: ImageFacts) -> bytes:
    content = read(picture.path)
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise ImportRefused([f"{picture.path} changed while it was imported; import again"])
    return content


def _suffix(picture: ImageFacts) -> str:
    return ending_for(picture.path, picture.format)
