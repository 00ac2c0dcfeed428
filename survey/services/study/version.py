"""Freeze a study: an immutable version with its digests, its reserved slots, and the copies that raters get."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Max, QuerySet

from survey.canonical import canonical_json
from survey.criteria import slot_criteria
from survey.exceptions import StudyNotReady
from survey.models import ImagePair, PairImage, Slot, Study, StudyVersion
from survey.recruitment import recruitment_frozen, recruitment_problems
from survey.selectors.pair import arm_recipe, arm_recipes, selection_steps
from survey.selectors.version import comparisons_of
from survey.services.assignment.draw import ALGORITHM, planned_slots
from survey.services.blinding.references import references_build
from survey.services.blinding.served_copies import copies_build
from survey.services.study.beyond import beyond_config, beyond_plan_problems
from survey.services.study.criteria import criteria_config, criteria_plan_problems, criteria_problems
from survey.services.study.display import (
    copies_facts,
    copy_plan,
    disk_problems,
    display_mode,
    display_problems,
    images_of,
    least_box,
    references_of,
    room_facts,
    spoilt_wanted,
    words_frozen,
)
from survey.services.study.exit_questions import question_problems
from survey.services.study.plan import rule_problems
from survey.services.study.study import study_locked_draft, study_mark_frozen
from survey.services.study.translations import language_gaps, languages_frozen
from survey.services.study.words import placeholder_problems

__all__ = ["MANIFEST", "manifest_lines", "version_config", "version_freeze", "version_problems"]


def _selected(study: Study) -> QuerySet[ImagePair]:
    return study.pairs.filter(is_selected=True)


def version_problems(study: Study) -> list[str]:
    """Return what keeps a draft from being frozen, each with its remedy; empty when nothing does."""
    problems = []
    arms = study.arms.count()
    if arms < 2:
        problems.append(f"it has {arms} arm(s); add at least two")
    if study.comparisons == Study.Comparisons.BASELINE and study.baseline is None:
        problems.append("comparisons go against a baseline, but no baseline arm is chosen")
    if not study.consent_text.strip():
        problems.append("the consent text is empty; write what raters agree to")
    if found := criteria_problems(study.criteria):
        problems += found
    else:
        problems += placeholder_problems(study)
        problems += criteria_plan_problems(study)
    problems += recruitment_problems(study.recruitment)
    problems += rule_problems(study.exclusion_rules) + question_problems(study.exit_questions)
    problems += beyond_plan_problems(study) + language_gaps(study)
    main = _selected(study).filter(kind=ImagePair.Kind.MAIN)
    if not main.exists():
        problems.append("it has no pairs; generate or import some")
    if (practice := study.practice_trials) and main.count() < practice:
        problems.append(f"{practice} practice trials need as many pairs; lower the number or add pairs")
    incomplete = _selected(study).annotate(n=Count("images")).filter(n__lt=arms)
    if count := incomplete.count():
        problems.append(f"{count} pair(s) miss an arm's image, the first is {incomplete.first().key}")
    uneven = (
        PairImage.objects.filter(pair__in=_selected(study))
        .values("pair__key")
        # One number for both sides, as no image is 100,000 pixels high: Count takes one expression.
        .annotate(sizes=Count(F("width") * 100_000 + F("height"), distinct=True))
        .filter(sizes__gt=1)
        .order_by("pair__key")
    )
    if first := uneven.first():
        problems.append(f"the arms' images differ in size, first in pair {first['pair__key']}; both must be equal")
    problems += display_problems(study)
    for name, recipes in arm_recipes(study).items():
        if len(recipes) > 1:
            problems.append(
                f"arm {name} has images of {len(recipes)} recipes (other weights or settings, or imported ones); "
                "leave out or remove the pairs of all but one"
            )
    return problems


def version_config(study: Study, *, is_shown: bool = False) -> dict[str, Any]:
    """Return everything that the design fixes, as canonical JSON values; ``is_shown`` leaves out what takes long.

    Arms stand with the recipe that made their images, digests of weights and settings included.
    """
    made_by = arm_recipes(study)
    return {
        "schema": "blindpair.version/1",
        "study": {"slug": study.slug, "title": study.title, "seed": study.assignment_seed},
        "texts": {
            "organisation": study.organisation,
            "contact": study.contact,
            "summary": study.summary,
            "payment": study.payment,
            "minutes": study.minutes,
            "consent": study.consent_text,
            "instructions": study.instructions,
            "question": study.question,
            "debrief": study.debrief,
            "exit_questions": study.exit_questions,
        },
        **languages_frozen(study),
        "trial": {
            "are_ties_allowed": study.are_ties_allowed,
            "minimum_exposure_ms": study.minimum_exposure_ms,
            "display": display_mode(study),
            "box_px": study.box_px,
            "least_box_px": least_box(study),
            "pixel_multiple": study.pixel_multiple,
            "narrow_screens": study.narrow_screens,
            "is_zoom_allowed": study.is_zoom_allowed,
            **words_frozen(study),
        },
        "plan": {
            "comparisons": [[a.name, b.name] for a, b in comparisons_of(study)],
            "votes_per_pair": study.votes_per_pair,
            "trials_per_session": study.trials_per_session,
            "practice_trials": study.practice_trials,
            "repeat_trials": study.repeat_trials,
            "identical_trials": study.identical_trials,
            "degraded_trials": study.degraded_trials,
            "break_every": study.break_every,
            "lease_minutes": study.lease_minutes,
            "assignment": ALGORITHM,
        },
        "analysis": {
            "baseline": study.baseline.name if study.baseline else None,
            "primary": "two_way_t",
            "stopping_rule": study.stopping_rule,
            **_looks(study),
            "least_votes": _least_votes(study),
            "equivalence_margin": study.equivalence_margin,
            "class_adjustment": study.class_adjustment,
            "target_raters": study.target_raters,
            "exclusion_rules": study.exclusion_rules,
        },
        "arms": [
            {"name": arm.name, "description": arm.description, "recipe": arm_recipe(arm, made_by[arm.name])}
            | ({"title": arm.title} if arm.title else {})
            for arm in study.arms.order_by("name")
        ],
        "images": room_facts(study),
        "copies": copies_facts(study),
        "pairs": {"selected": _selected(study).count(), "of": study.pairs.count(), "steps": selection_steps(study)}
        | ({} if is_shown else _manifest_facts(study)),
        "recruitment": recruitment_frozen(study.recruitment),
        "facts": {
            "eligibility": study.eligibility,
            "ethics": study.ethics,
            "funding": study.funding,
            "preregistration": study.preregistration,
        },
        "publication": {
            "is_consented": study.is_publication_consented,
            "is_free_text_consented": study.is_free_text_published,
        },
        **criteria_config(study),
        **beyond_config(study),
    }


def _looks(study: Study) -> dict[str, Any]:
    """Return the planned looks; nothing under other rules, whose digests stay as they were."""
    if study.stopping_rule != Study.StoppingRule.PLANNED:
        return {}
    return {"looks": {"number": study.planned_looks, "spending": study.looks_spending}}


def _least_votes(study: Study) -> int:
    """Return the votes of a finished rater: a session is shared unevenly among several comparisons."""
    if study.least_votes is not None:
        return study.least_votes
    if len(comparisons_of(study)) > 1:
        return 1
    return max(1, min(study.trials_per_session, _selected(study).filter(kind=ImagePair.Kind.MAIN).count()))


# What a line of the manifest says; the first release's had neither names nor words.
MANIFEST = 2


def _manifest_facts(study: Study) -> dict[str, Any]:
    """Return the digest of all that raters see and read of the pairs, for the digest of the design to cover it."""
    manifest = hashlib.sha256()
    for line in manifest_lines(study):
        manifest.update(line)
    return {"manifest": MANIFEST, "manifest_sha256": manifest.hexdigest()}


def manifest_lines(study: Study, version: StudyVersion | None = None) -> Iterator[bytes]:
    """Yield one canonical JSON line a selected pair, in the order of keys: what the manifest digest is taken over.

    Of a version frozen before prompts there were, the lines are as they were then.
    """
    form = MANIFEST if version is None else version.config["pairs"].get("manifest", 1)
    rows = (
        PairImage.objects.filter(pair__in=_selected(study))
        .select_related("pair__reference")
        .annotate(arm_name=F("arm__name"))
        .order_by("pair__key", "arm_name")
    )
    for _, images in itertools.groupby(rows.iterator(chunk_size=1000), key=lambda image: image.pair_id):
        images = list(images)
        digests = {image.arm_name: image.sha256 for image in images}
        yield canonical_json(_manifest_entry(images[0].pair, form) | {"images": digests}) + b"\n"


def _manifest_entry(pair: ImagePair, form: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "key": pair.key,
        "kind": pair.kind,
        "class": pair.class_label,
        "seed": pair.seed,
        "index": pair.index,
        "noise_sha256": pair.noise_sha256,
    }
    if form == 1:
        return content
    reference = pair.reference.sha256 if hasattr(pair, "reference") else None
    words = {"name": pair.class_name, "prompt": pair.prompt, "tags": pair.tags, "reference_sha256": reference}
    return content | words


def version_freeze(
    *, study: Study, actor: Any = None, reason: str = "", on_progress: Callable[[int, int], None] | None = None
) -> StudyVersion:
    """Freeze a draft into its next version.

    The served copies are written first, outside the transaction: a killed freeze leaves a draft and some unused files.

    Raises
    ------
    StudyNotReady
        With every problem at once.
    StudyNotEditable
        If the study is no draft (any more).
    """
    if problems := version_problems(study) or disk_problems(study):
        raise StudyNotReady(problems)
    rules = {"on_progress": on_progress} if on_progress else {}
    plan = copy_plan(study)
    # Outside the transaction: encoding may take long, and what was made is kept for the next try.
    length = copies_build(images_of(study), plan, spoilt=spoilt_wanted(study), **rules)
    references_build(references_of(study), plan, **rules)
    with transaction.atomic():
        locked = study_locked_draft(study)
        # Once more under the lock: the draft could be changed while the copies were made.
        if problems := version_problems(locked):
            raise StudyNotReady(problems)
        if copy_plan(locked) != plan:
            raise StudyNotReady(["its display has changed while the copies were made; freeze it again"])
        config = version_config(locked)
        version = StudyVersion.objects.create(
            study=locked,
            number=(locked.versions.aggregate(last=Max("number"))["last"] or 0) + 1,
            config=config,
            config_sha256=hashlib.sha256(canonical_json(config)).hexdigest(),
            manifest_sha256=config["pairs"]["manifest_sha256"],
            consent_sha256=hashlib.sha256(locked.consent_text.encode()).hexdigest(),
            served_bytes=length,
            frozen_by=actor if getattr(actor, "pk", None) else None,
        )
        for batch in _slot_batches(version):
            Slot.objects.bulk_create(batch)
        study_mark_frozen(study=locked, actor=actor, reason=reason)
    study.state = locked.state
    return version


def _slot_batches(version: StudyVersion, size: int = 1000) -> Iterator[list[Slot]]:
    """Yield the slots of every comparison of every main pair, by each block's criterion; their keys keep this order."""
    pairs = _selected(version.study).filter(kind=ImagePair.Kind.MAIN).order_by("key").values_list("pk", flat=True)
    comparisons = [(arm_a.pk, arm_b.pk) for arm_a, arm_b in comparisons_of(version.study)]
    drawn = itertools.chain.from_iterable(
        planned_slots(
            pairs.iterator(chunk_size=1000),
            comparisons,
            wanted=version.config["plan"]["votes_per_pair"],
            assignment_seed=version.config["study"]["seed"],
            version=version.number,
            criterion=criterion,
        )
        for criterion in slot_criteria(version.config)
    )
    while batch := list(itertools.islice(drawn, size)):
        yield [Slot(version=version, **slot._asdict()) for slot in batch]
