"""Which of a study's pairs take part: by class, by how different the arms look, at random with a seed. Recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from generation.recipes.distance import DISTANCE_NAME
from survey.models import ImagePair, Study
from survey.services.records.audit import audit_record
from survey.services.study.study import study_locked_draft

__all__ = ["PairSelection", "SelectionRule", "pairs_select"]

# Rows of pairs read or marked at a time.
_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class SelectionRule:
    """What a pair must meet to take part; the rule belongs into the study's plan before anyone has voted.

    Parameters
    ----------
    classes : collection of str or None
        Labels or names of classes to keep, as the pairs hold them; None for all.
    minimum_distance : float in [0, 1] or None
        Pairs whose arms differ less are left out; a pair without a known distance is left out too.
    per_class : int or None
        At most so many of every class, drawn with ``seed``.
    count : int or None
        At most so many in all, drawn with ``seed``.
    seed : int
        Of the draws. The same seed draws the same pairs, in whatever order they were made.
    """

    classes: Collection[str] | None = None
    minimum_distance: float | None = None
    per_class: int | None = None
    count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.minimum_distance is not None and not 0 <= self.minimum_distance <= 1:
            raise ValueError(f"minimum_distance is {self.minimum_distance}; it must lie in [0, 1]")
        for name in ("per_class", "count"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if self.classes is not None:
            object.__setattr__(self, "classes", tuple(sorted(set(self.classes))))


@dataclass(frozen=True)
class PairSelection:
    """How many pairs take part, and how many each part of the rule left out, in the order it was applied."""

    selected: int
    other_class: int
    too_alike: int
    not_drawn: int


def _lot(seed: int, key: str) -> bytes:
    """A pair's place in the draw: it depends on seed and key alone."""
    return hashlib.sha256(f"{seed}/{key}".encode()).digest()


@transaction.atomic
def pairs_select(*, study: Study, rule: SelectionRule, actor: Any = None) -> PairSelection:
    """Mark which main pairs of a draft take part, by the rule, and put rule and counts into the study's log.

    Raises
    ------
    ValueError
        If a class has no pairs, or no pair would be left.
    StudyNotEditable
        If the study is no draft.
    """
    locked = study_locked_draft(study)
    rows = locked.pairs.filter(kind=ImagePair.Kind.MAIN)
    fields = ("pk", "key", "class_label", "distance", "class_name")
    pairs = list(rows.values_list(*fields).iterator(chunk_size=_BATCH))
    if missing := sorted(set(rule.classes or ()) - {called for pair in pairs for called in (pair[2], pair[4])}):
        raise ValueError(
            f"{study.slug} has no pairs of class {', '.join(missing)}; generate them, or name another class"
        )
    in_class = [pair for pair in pairs if rule.classes is None or {pair[2], pair[4]} & set(rule.classes)]
    different = [pair for pair in in_class if _is_different(pair[3], rule.minimum_distance)]
    drawn = _drawn(different, rule)
    if not drawn:
        raise ValueError(
            f"the rule leaves no pair of {len(pairs)}: {len(pairs) - len(in_class)} are of another class, "
            f"{len(in_class) - len(different)} differ by less than {rule.minimum_distance}; loosen it"
        )
    _mark(locked, {pair[0] for pair in drawn}, [pair[0] for pair in pairs])
    found = PairSelection(
        selected=len(drawn),
        other_class=len(pairs) - len(in_class),
        too_alike=len(in_class) - len(different),
        not_drawn=len(different) - len(drawn),
    )
    detail = {"rule": asdict(rule), "distance_name": DISTANCE_NAME, "result": asdict(found)}
    audit_record(study=locked, actor=actor, action="select pairs", detail=detail)
    return found


def _is_different(distance: float | None, minimum: float | None) -> bool:
    # An unknown distance, of imported pairs say, does not meet a minimum.
    return minimum is None or (distance is not None and distance >= minimum)


def _drawn(pairs: list[tuple], rule: SelectionRule) -> list[tuple]:
    if rule.per_class is None and rule.count is None:
        return pairs
    # By lot and not by a shuffle: the order of two pairs does not depend on which others there are.
    order = sorted(pairs, key=lambda pair: _lot(rule.seed, pair[1]))
    taken: dict[str, int] = {}
    kept = []
    for pair in order:
        taken[pair[2]] = taken.get(pair[2], 0) + 1
        if rule.per_class is None or taken[pair[2]] <= rule.per_class:
            kept.append(pair)
    return kept[: rule.count]


def _mark(study: Study, chosen: set, everything: list) -> None:
    for start in range(0, len(everything), _BATCH):
        batch = everything[start : start + _BATCH]
        inside = [pk for pk in batch if pk in chosen]
        # Only what changes is written; in batches, for a statement takes a limited number of parameters.
        study.pairs.filter(pk__in=inside, is_selected=False).update(is_selected=True)
        study.pairs.filter(pk__in=[pk for pk in batch if pk not in chosen], is_selected=True).update(is_selected=False)
