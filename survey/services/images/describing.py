"""What is said of pairs that a study has already: prompts, names, tags and references change while it is a draft."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q

from survey.exceptions import PairConflict
from survey.models import ImagePair, ReferenceImage, Slot, Study
from survey.services.images.pairs import NewPair, lengths_check, references_add
from survey.services.records.stored_files import files_forget_later, reference_files
from survey.services.study.study import study_locked_draft

__all__ = ["descriptions_conflicts", "pairs_describe"]

# Pairs of one query: SQLite allows 32,766 values as a rule.
_BATCH = 2000


@transaction.atomic
def pairs_describe(*, study: Study, pairs: Iterable[NewPair]) -> int:
    """Let what is said of pairs that are there replace what was said before; return how many changed.

    What a pair leaves empty says nothing; its images are not looked at.

    Raises
    ------
    PairConflict
        If a frozen version has the pair: its raters have read the old words.
    """
    locked = study_locked_draft(study)
    changed = 0
    for row, said, changes in _described(locked, pairs):
        if row.is_frozen:
            raise PairConflict(_frozen_problem(row, changes))
        lengths_check(said)
        if changes.pop("reference", None):
            old = ReferenceImage.objects.filter(pair=row)
            files_forget_later(reference_files(old))
            old.delete()
            references_add([(row.pk, said.reference)])
        ImagePair.objects.filter(pk=row.pk).update(**changes)
        changed += 1
    return changed


def descriptions_conflicts(study: Study, pairs: Iterable[NewPair]) -> list[str]:
    """Return which of the pairs a frozen version has with other words or another reference."""
    return [_frozen_problem(row, changes) for row, _, changes in _described(study, pairs) if row.is_frozen]


def _frozen_problem(row: ImagePair, changes: Mapping[str, Any]) -> str:
    what = ", ".join(changes).replace("_", " ")
    return f"pair {row.key!r} is part of a frozen version with another {what}; bring it under another path"


def _described(study: Study, pairs: Iterable[NewPair]) -> Iterator[tuple[ImagePair, NewPair, dict[str, Any]]]:
    """Yield the pairs of the study of which something new is said, with what changes."""
    pairs = iter(pairs)
    while batch := {pair.key: pair for pair in islice(pairs, _BATCH)}:
        rows = ImagePair.objects.filter(study=study, key__in=batch).select_related("reference")
        for row in rows.annotate(is_frozen=_is_in_a_version(study)):
            if changes := _changes(row, batch[row.key]):
                yield row, batch[row.key], changes


def _is_in_a_version(study: Study) -> Q:
    """Return whether a frozen version has a pair: those for practice have no slots that would tell."""
    last = study.versions.aggregate(last=Max("frozen_at"))["last"]
    practice = Q(kind=ImagePair.Kind.PRACTICE, created_at__lt=last) if last else Q(pk__in=[])
    return Q(Exists(Slot.objects.filter(pair=OuterRef("pk")))) | practice


def _changes(row: ImagePair, said: NewPair) -> dict[str, Any]:
    new = {name: getattr(said, name) for name in ("class_label", "class_name", "prompt", "seed")}
    new["tags"] = list(said.tags)
    changes = {name: value for name, value in new.items() if value not in ("", [], None, getattr(row, name))}
    before = row.reference.sha256 if hasattr(row, "reference") else None
    if said.reference is not None and said.reference.sha256 != before:
        changes["reference"] = said.reference
    return changes
