"""Create a study, change its draft, move it through its states."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import transaction

from survey.exceptions import IllegalTransition, StudyNotDeletable, StudyNotEditable, StudyUnknown
from survey.models import Arm, DeletedStudy, ImagePair, PairImage, RaterSession, Slot, Study, StudyMember, StudyVersion
from survey.selectors.jobs import study_jobs_under_way
from survey.services.records.audit import audit_lines, audit_record
from survey.services.records.stored_files import files_forget_later, pair_files
from survey.services.records.webhook import webhooks_notify
from survey.services.study.defaults import CONSENT, INSTRUCTIONS, free_slug

__all__ = [
    "TRANSITIONS",
    "Transition",
    "arm_add",
    "arm_remove",
    "arm_rename",
    "study_create",
    "study_delete",
    "study_get",
    "study_locked_draft",
    "study_mark_frozen",
    "study_transition",
    "study_update",
]

State = Study.State


@dataclass(frozen=True)
class Transition:
    """A named step of a study's life."""

    sources: frozenset[str]
    target: str
    caption: str


# The only way from state to state; ``freeze`` is carried out by services/version.py, which makes the version.
TRANSITIONS: dict[str, Transition] = {
    "freeze": Transition(frozenset({State.DRAFT}), State.FROZEN, "Freeze the design"),
    "revise": Transition(frozenset({State.FROZEN, State.PAUSED}), State.DRAFT, "Revise (back to a draft)"),
    "pilot": Transition(frozenset({State.FROZEN}), State.PILOTING, "Open for a pilot"),
    "end_pilot": Transition(frozenset({State.PILOTING}), State.FROZEN, "End the pilot"),
    "open": Transition(frozenset({State.FROZEN}), State.RUNNING, "Open recruitment"),
    "pause": Transition(frozenset({State.RUNNING}), State.PAUSED, "Pause"),
    "resume": Transition(frozenset({State.PAUSED}), State.RUNNING, "Resume"),
    "close": Transition(frozenset({State.RUNNING, State.PAUSED}), State.CLOSED, "Close for good"),
    "archive": Transition(frozenset({State.CLOSED}), State.ARCHIVED, "Archive"),
}


def study_get(slug: str) -> Study:
    """Return the study or raise StudyUnknown naming the slugs there are."""
    try:
        return Study.objects.get(slug=slug)
    except Study.DoesNotExist:
        known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
        raise StudyUnknown(f"There is no study {slug!r}. Studies here: {known}.") from None


@transaction.atomic
def study_create(*, owner: Any, title: str, slug: str = "", **draft: Any) -> Study:
    """Create a draft that belongs to ``owner``; what is not given has a sensible default.

    Raises ValidationError naming each bad field.
    """
    texts = {"consent_text": CONSENT, "instructions": INSTRUCTIONS}
    study = Study(slug=slug or free_slug(title), title=title, **(texts | draft))
    study.full_clean()
    study.save(force_insert=True)
    StudyMember.objects.create(study=study, user=owner, role=StudyMember.Role.OWNER)
    audit_record(study=study, actor=owner, action="create", detail={"slug": study.slug})
    return study


def study_locked_draft(study: Study) -> Study:
    """Return the study's row under lock, re-read, and raise unless it is still a draft. Call inside a transaction."""
    locked = Study.objects.select_for_update().get(pk=study.pk)
    if locked.state != State.DRAFT:
        raise StudyNotEditable(
            f"{locked.slug} is {locked.state}: only a draft can be changed. Revise it first; the change becomes a "
            "new version."
        )
    return locked


@transaction.atomic
def study_update(*, study: Study, actor: Any, **changes: Any) -> Study:
    """Change fields of a draft."""
    locked = study_locked_draft(study)
    for name, value in changes.items():
        setattr(locked, name, value)
    locked.full_clean()
    locked.save()
    audit_record(study=locked, actor=actor, action="update", detail={"fields": sorted(changes)})
    return locked


@transaction.atomic
def study_delete(*, study: Study, actor: Any) -> None:
    """Delete a draft that nobody has visited, with its arms, pairs, earlier versions and files.

    Its log stays, ended by the deletion, as a :class:`DeletedStudy`. A file that another study shows stays too.

    Raises
    ------
    StudyNotDeletable
        If the study is no draft, somebody has visited it, or a job works on it.
    """
    # A first visit or a job that begins meanwhile waits, and then finds the study gone.
    locked = Study.objects.select_for_update().get(pk=study.pk)
    if locked.state != State.DRAFT or RaterSession.objects.filter(version__study=locked).exists():
        raise StudyNotDeletable
    if job := study_jobs_under_way(locked).first():
        raise StudyNotDeletable(f"{job} works on {locked.slug}: cancel it first, then delete the study")
    last = audit_record(study=locked, actor=actor, action="delete", detail={"slug": locked.slug})
    DeletedStudy.objects.create(
        slug=locked.slug,
        title=locked.title,
        log=b"".join(audit_lines(locked)).decode(),
        last_sha256=last.sha256,
        deleted_by=actor if getattr(actor, "pk", None) else None,
    )
    made = chain(locked.figures.values_list("files", flat=True), locked.reports.values_list("files", flat=True))
    own = [file["name"] for files in made for file in files.values()]
    files_forget_later(pair_files(ImagePair.objects.filter(study=locked)) + own)
    # In this order: each table is held by those before it.
    Slot.objects.filter(version__study=locked).delete()
    StudyVersion.objects.filter(study=locked).delete()
    PairImage.objects.filter(pair__study=locked).delete()
    ImagePair.objects.filter(study=locked).delete()
    locked.delete()


@transaction.atomic
def arm_add(
    *,
    study: Study,
    name: str,
    actor: Any = None,
    recipe: dict | None = None,
    description: str = "",
    title: str = "",
) -> Arm:
    """Add an arm to a draft, or return the one of that name after updating its title, description and recipe."""
    locked = study_locked_draft(study)
    arm = Arm.objects.filter(study=locked, name=name).first() or Arm(study=locked, name=name)
    if arm.pk and arm.images.exists() and arm.recipe != (recipe or {}):
        raise StudyNotEditable(
            f"arm {name!r} has images made by another recipe; add an arm of another name, or delete its images first"
        )
    arm.recipe, arm.description, arm.title = recipe or {}, description, title
    arm.full_clean()
    arm.save()
    audit_record(study=locked, actor=actor, action="add arm", detail={"arm": name})
    return arm


def _locked_arm(arm: Arm) -> Arm:
    study_locked_draft(arm.study)
    return Arm.objects.select_for_update().get(pk=arm.pk)


@transaction.atomic
def arm_rename(*, arm: Arm, name: str, actor: Any = None) -> Arm:
    """Give an arm of a draft another name; its images stay with it."""
    locked = _locked_arm(arm)
    before, locked.name = locked.name, name
    locked.full_clean()
    locked.save(update_fields=["name"])
    audit_record(study=locked.study, actor=actor, action="rename arm", detail={"from": before, "to": name})
    return locked


@transaction.atomic
def arm_remove(*, arm: Arm, actor: Any = None) -> None:
    """Remove an arm that has no images from a draft."""
    locked = _locked_arm(arm)
    if count := locked.images.count():
        raise StudyNotEditable(f"arm {locked.name!r} has {count} images; delete its pairs first")
    audit_record(study=locked.study, actor=actor, action="remove arm", detail={"arm": locked.name})
    locked.delete()


@transaction.atomic
def study_transition(*, study: Study, name: str, actor: Any, reason: str = "") -> Study:
    """Carry out a named transition and log it.

    Raises
    ------
    IllegalTransition
        If the name is unknown, the study, re-read under its lock, is in another state, or the name is ``freeze``:
        services/version.py freezes, because it makes the version in the same transaction.
    """
    if name == "freeze":
        raise IllegalTransition(
            f"{study.slug} is {study.state}: only version_freeze freezes, because it makes a version"
        )
    return _moved(study=study, name=name, actor=actor, reason=reason)


@transaction.atomic
def study_mark_frozen(*, study: Study, actor: Any, reason: str = "") -> Study:
    """Move a draft to frozen. For services/version.py alone, which makes the version in the same transaction."""
    return _moved(study=study, name="freeze", actor=actor, reason=reason)


def _moved(*, study: Study, name: str, actor: Any, reason: str) -> Study:
    if name not in TRANSITIONS:
        raise IllegalTransition(f"there is no step {name!r}; the steps are {', '.join(TRANSITIONS)}")
    transition = TRANSITIONS[name]
    locked = Study.objects.select_for_update().get(pk=study.pk)
    if locked.state not in transition.sources:
        allowed = ", ".join(step for step, rule in TRANSITIONS.items() if locked.state in rule.sources) or "nothing"
        raise IllegalTransition(
            f"{locked.slug} is {locked.state}: {name!r} is not possible now; possible is: {allowed}"
        )
    before = locked.state
    locked.state = transition.target
    locked.save(update_fields=["state"])
    audit_record(study=locked, actor=actor, action=name, detail={"from": before, "to": locked.state, "reason": reason})
    webhooks_notify(study=locked, event=name, detail={"from": before, "to": locked.state})
    study.state = locked.state
    return locked
